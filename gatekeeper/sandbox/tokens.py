"""How many tokens a request is, by modality. The same count answers countTokens and is a call's prompt.

The sandbox has no tokenizer: four characters are a token, which is Google's own rule of thumb, an image is
258, and sound and film are measured by their bytes at usual bit rates
(https://ai.google.dev/gemini-api/docs/tokens).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gatekeeper.sandbox.wire import MODALITY, Json, field, message, messages, one_line, text

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 258
PDF_PAGE_BYTES = 50_000
AUDIO_BYTES_PER_TOKEN = 16_000 // 32  # 128 kbit/s, 32 tokens a second
VIDEO_BYTES_PER_TOKEN = 250_000 // 263  # 2 Mbit/s, 263 tokens a second

Tally = Counter[str]
"""Tokens by modality (`TEXT`, `IMAGE`, …)."""

Find = Callable[[str], tuple[str, int]]
"""From a file's URI to its MIME type and size in bytes; raises ApiError for a file that is not there."""


def count(words: str) -> int:
    return of_characters(len(words))


def of_characters(length: int) -> int:
    return -(-length // CHARACTERS_PER_TOKEN)


def tally(request: Json, find: Find) -> Tally:
    """Of a generate request, a cached content or countTokens' body: what is said, instructed and offered."""
    total = Tally()
    instruction = message(field(request, "systemInstruction"))
    for content in [instruction, *messages(field(request, "contents"))]:
        total += of_content(content, find)
    return total + Tally(TEXT=of_json(field(request, "tools")))


def of_content(content: Json, find: Find) -> Tally:
    total = Tally()
    for part in messages(field(content, "parts")):
        total += of_part(part, find)
    return total


def of_part(part: Json, find: Find) -> Tally:
    inline, file = field(part, "inlineData"), field(part, "fileData")
    if inline is not None:
        blob = message(inline)
        return of_media(text(field(blob, "mimeType")), len(text(field(blob, "data"))) * 3 // 4)
    if file is not None:
        return of_media(*find(text(field(message(file), "fileUri"))))
    if "text" in part:
        return Tally(TEXT=count(text(part["text"])))
    return Tally(TEXT=of_json(part))


def of_media(mime: str, size: int) -> Tally:
    match mime.partition("/"):
        case ("image", _, _):
            return Tally(IMAGE=IMAGE_TOKENS)
        case ("audio", _, _):
            return Tally(AUDIO=max(1, size // AUDIO_BYTES_PER_TOKEN))
        case ("video", _, _):
            return Tally(VIDEO=max(1, size // VIDEO_BYTES_PER_TOKEN))
        case ("application", _, "pdf"):
            return Tally(DOCUMENT=IMAGE_TOKENS * -(-size // PDF_PAGE_BYTES))
        case _:
            return Tally(TEXT=of_characters(size))


def of_json(value: object) -> int:
    return count(one_line(value).decode()) if value else 0


def details(total: Tally) -> list[Json]:
    return [{"modality": name, "tokenCount": total[name]} for name in MODALITY if total[name]]
