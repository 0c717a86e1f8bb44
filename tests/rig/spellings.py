"""Other spellings of a metered call: everything that could take the usage out of its answer, or make another
route of it, in the eyes of a server that folds more than Google's is known to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

METERED = [
    f"{version}/{name}"
    for version in ("v1", "v1beta", "v1alpha")
    for name in (
        "models/gemini-2.5-flash:generateContent",
        "models/gemini-2.5-flash:streamGenerateContent",
        "models/gemini-embedding-001:embedContent",
        "models/gemini-embedding-001:batchEmbedContents",
        "models/gemini-2.5-flash:generateAnswer",
        "tunedModels/t-1:generateContent",
        "dynamic/d:streamGenerateContent",
    )
]

HARMFUL = {
    "fields": "candidates", "$fields": "candidates", "fieldMask": "candidates", "callback": "f",
    "$callback": "f", "alt": "proto", "$alt": "media", "$ct": "application/x-protobuf",
    "$httpMethod": "GET", "$httpHeaders": "X-Goog-FieldMask:candidates",
}  # fmt: skip


class Spelling(NamedTuple):
    """One request: its target after `/gemini`, and its further headers."""

    target: str
    headers: tuple[str, ...] = ()


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def wide(text: str) -> str:
    """In fullwidth letters, percent-encoded."""
    return "".join(percent(chr(ord(c) + 0xFEE0)) if c.isalnum() else c for c in text)


def names(name: str) -> Iterator[str]:
    """A name in other spellings: encoded, padded, as a list, in another case."""
    yield from (name, percent(name), percent(name).replace("%", "%25"), percent(name).replace("%", "%2525"))
    yield from (name.upper(), name.title(), name.swapcase(), wide(name), name.replace("f", percent("f")))
    for pad in ("+", "%20", "%09", "%0A", "%0D", "%00", "%C2%A0", "%E2%80%8B", "_", "-", ".", "$"):
        yield from (pad + name, name + pad)
    yield from (f"{name}[]", f"{name}[0]", f"{name}%5B%5D", f"{name}.x", f"{name}:", f"x.{name}", f"({name})")


def queries() -> Iterator[str]:
    for name, value in HARMFUL.items():
        for spelt in names(name):
            yield f"{spelt}={value}"
        yield from (
            f"={name}={value}",
            f"{name}%3D{value}",
            f"{name}=={value}",
            f"&&{name}={value}",
        )
        pair = f"{name}={value}"
        for joint in (
            ";",
            "%3B",
            "%26",
            "%2526",
            "&amp;",
            "?",
            "%3F",
            "%23",
            "%0A",
            "%00",
            ",",
            "|",
            "%0D%0A",
        ):
            yield from (
                f"prettyPrint=true{joint}{pair}",
                f"alt=json{joint}{pair}",
                f"quotaUser=u{joint}{pair}",
            )
    yield from (name for name in HARMFUL if not name.endswith("alt"))
    for value in (
        "PROTO",
        "Json",
        "json%00",
        "json+",
        "json;enum-encoding=proto",
        "json,sse",
        "sse%3Bfields",
        "x",
    ):
        yield from (f"alt={value}", f"$alt={value}", f"%24alt={value}", f"alt=sse&alt={value}")
    for name in ("ALT", "Alt", "alt[]", "+alt", "alt%20", "$ALT", "%2524alt", "prettyprint", "quotauser"):
        yield f"{name}=json"


def headers() -> Iterator[str]:
    for words, value in (
        ("X-Goog-FieldMask", "candidates"),
        ("X-Goog-Field-Mask", "candidates"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-HTTP-Method", "GET"),
        ("X-Method-Override", "GET"),
        ("X-HTTP-Verb", "GET"),
        ("X-Original-URL", "/v1beta/models"),
        ("X-Rewrite-URL", "/v1beta/models"),
    ):
        for gap in ("-", "_", ".", "--", ""):
            yield from (f"{words.replace('-', gap)}: {value}", f"{words.upper().replace('-', gap)}: {value}")
        yield f"{words.replace('-', '_', 1)}: {value}"
    for form in (
        "application/x-protobuf",
        "application/protobuf",
        "Application/GRPC",
        "application/grpc-web",
    ):
        yield from (f"Content-Type: {form}", f"Accept: {form}")


def words(word: str) -> Iterator[str]:
    """A word of a path in other spellings."""
    yield from (word.upper(), word.lower(), word.capitalize(), word.swapcase(), wide(word), percent(word))
    yield from (
        percent(word).replace("%", "%25"),
        word + word,
        f"{word}{word.upper()}",
        word[0] + percent(word[1:]),
    )
    for end in (".", "..", "%2E", "%20", "+", "%00", "%09", "%C2%A0", "_", "-", "~", "*", "'", "!", "$", "@"):
        yield from (word + end, end + word)
    for suffix in (
        "s.json",
        ".json",
        ".proto",
        "2",
        "V2",
        ";",
        ";x=y",
        "%3Bx=y",
        ";jsessionid=1",
        "(x)",
        ",x",
    ):
        yield word + suffix
    for extra in (
        ":countTokens",
        ":",
        "/",
        "/.",
        "/x",
        "%2F",
        "%3Fx",
        "%23x",
        "\\",
        "%5C",
        ":%20",
        ":generateContent",
    ):
        yield word + extra


def paths(path: str) -> Iterator[str]:
    """A metered path in other spellings, word by word."""
    version, rest = path.split("/", 1)
    name, action = rest.split(":")
    collection, model = name.split("/")
    for spelt in words(action):
        yield f"/{version}/{name}:{spelt}"
    for spelt in words(collection):
        yield f"/{version}/{spelt}/{model}:{action}"
    for spelt in words(version):
        yield f"/{spelt}/{rest}"
    for spelt in (
        f"{model}.",
        f"{model};x=y",
        f"{model}%20",
        f"{model}%00",
        f"{model}:",
        f"{model}*",
        f".{model}.",
    ):
        yield f"/{version}/{collection}/{spelt}:{action}"
    for joint in (
        "/",
        "//:",
        "%3A",
        "%253A",
        "::",
        ":%3A",
        ".",
        ";:",
        "/:",
        ":/",
        "%EF%BC%9A",
        "%20:",
        ":%20",
    ):
        yield f"/{version}/{name}{joint}{action}"
    for way in (
        "/./",
        "//",
        "/x/../",
        "/%2e/",
        "/x/%2e%2e/",
        "\\",
        "/%2F",
        "/../",
        "/%2e%2e/",
        "/;/",
        "/%00/",
    ):
        yield from (f"{way}{path}", f"/{version}{way}{rest}", f"/{version}/{collection}{way}{model}:{action}")
    for first in (
        "batch",
        "$rpc",
        "upload",
        "resumable/upload",
        "download",
        "Upload",
        "x",
        "google.ai",
        "ws",
        "_",
    ):
        yield f"/{first}/{path}"
    service = f"google.ai.generativelanguage.{version}.GenerativeService"
    for verb in (action, action[0].upper() + action[1:]):
        yield from (f"/{service}/{verb}", f"/{service.title()}/{verb}", f"/$rpc/{service}/{verb}")
        yield from (
            f"/{version}/{service}/{verb}",
            f"/{version}/$rpc/{service}/{verb}",
            f"/ws/{service}.{verb}",
        )


def spellings(path: str) -> Iterator[Spelling]:
    """All of them for one metered path, each once."""
    targets = [*(f"/{path}?{query}" for query in queries()), *paths(path)]
    for target in dict.fromkeys(targets):
        yield Spelling(target if target.startswith("/") else f"/{target}")
    for header in dict.fromkeys(headers()):
        yield Spelling(f"/{path}", (header,))
