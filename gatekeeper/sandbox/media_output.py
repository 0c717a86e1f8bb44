"""Images and speech as models generate them: a small PNG in one colour, and silence as long as the text would
take. Their tokens are Google's: 1,290 for an image, 25 for a second of speech."""

from __future__ import annotations

import base64
import struct
import zlib

from gatekeeper.sandbox.google_json import Json

IMAGE_TOKENS = 1_290
SIDE = 16  # pixels
SPEECH_TOKENS_PER_SECOND = 25
WORDS_PER_SECOND = 2.5
MAX_SPEECH_SECONDS = 60
# 16 bits a sample, 24 kHz
SPEECH_BYTES_PER_SECOND = 48_000


def media_part(modality: str, prompt: str) -> tuple[Json, int]:
    """The part of a response that is no text, and its tokens."""
    if modality == "IMAGE":
        return inline("image/png", png(prompt)), IMAGE_TOKENS
    seconds = min(max(1, round(len(prompt.split()) / WORDS_PER_SECOND)), MAX_SPEECH_SECONDS)
    silence = bytes(seconds * SPEECH_BYTES_PER_SECOND)
    return inline("audio/L16;codec=pcm;rate=24000", silence), seconds * SPEECH_TOKENS_PER_SECOND


def inline(mime: str, data: bytes) -> Json:
    return {"inlineData": {"mimeType": mime, "data": base64.b64encode(data).decode()}}


def png(prompt: str) -> bytes:
    """An image in one colour."""
    colour = zlib.crc32(prompt.encode()).to_bytes(4, "big")[:3]
    # Eight bits a channel, red, green and blue; each row begins with its filter, 0 for none.
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * SIDE) * SIDE
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
