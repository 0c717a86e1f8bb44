"""The number of tokens of a request, by modality. countTokens and the prompt of a call use the same count.

There is no tokenizer: four characters are a token, which is Google's own rule of thumb, an image is 258
tokens, and audio and video are estimated from their bytes at typical bit rates
(https://ai.google.dev/gemini-api/docs/tokens)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gatekeeper.sandbox.google_json import MODALITIES, Json, field, message, messages, one_line, text

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 258
PDF_PAGE_BYTES = 50_000
# 128 kbit/s, 32 tokens per second
AUDIO_BYTES_PER_TOKEN = 16_000 // 32
# 2 Mbit/s, 263 tokens per second
VIDEO_BYTES_PER_TOKEN = 250_000 // 263

# Tokens by modality (`TEXT`, `IMAGE`, …).
TokenCounts = Counter[str]

# A function of a file's URI that returns its MIME type and size in bytes; raises GoogleError for a missing
# file.
FileLookup = Callable[[str], tuple[str, int]]


def text_tokens(words: str) -> int:
    return character_tokens(len(words))


def character_tokens(length: int) -> int:
    return -(-length // CHARACTERS_PER_TOKEN)


def count_tokens(request: Json, find_file: FileLookup) -> TokenCounts:
    """The tokens of a generate request, a cached content or a countTokens request: contents, system
    instruction and tools."""
    total = TokenCounts()
    instruction = message(field(request, "systemInstruction"))
    for content in [instruction, *messages(field(request, "contents"))]:
        total += content_tokens(content, find_file)
    return total + TokenCounts(TEXT=json_tokens(field(request, "tools")))


def content_tokens(content: Json, find_file: FileLookup) -> TokenCounts:
    total = TokenCounts()
    for part in messages(field(content, "parts")):
        total += part_tokens(part, find_file)
    return total


def part_tokens(part: Json, find_file: FileLookup) -> TokenCounts:
    inline, file = field(part, "inlineData"), field(part, "fileData")
    if inline is not None:
        # Four base64 characters are three bytes.
        blob = message(inline)
        return media_tokens(text(field(blob, "mimeType")), len(text(field(blob, "data"))) * 3 // 4)
    if file is not None:
        return media_tokens(*find_file(text(field(message(file), "fileUri"))))
    if "text" in part:
        return TokenCounts(TEXT=text_tokens(text(part["text"])))
    return TokenCounts(TEXT=json_tokens(part))


def media_tokens(mime: str, size: int) -> TokenCounts:
    match mime.partition("/"):
        case ("image", _, _):
            return TokenCounts(IMAGE=IMAGE_TOKENS)
        case ("audio", _, _):
            return TokenCounts(AUDIO=max(1, size // AUDIO_BYTES_PER_TOKEN))
        case ("video", _, _):
            return TokenCounts(VIDEO=max(1, size // VIDEO_BYTES_PER_TOKEN))
        # Google counts each page as an image.
        case ("application", _, "pdf"):
            return TokenCounts(DOCUMENT=IMAGE_TOKENS * -(-size // PDF_PAGE_BYTES))
        case _:
            return TokenCounts(TEXT=character_tokens(size))


def json_tokens(value: object) -> int:
    return text_tokens(one_line(value).decode()) if value else 0


def token_details(total: TokenCounts) -> list[Json]:
    return [{"modality": name, "tokenCount": total[name]} for name in MODALITIES if total[name]]
