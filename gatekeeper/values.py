"""What the text of a setting may be, and the value that it stands for.

Every parser takes text and raises ValueError that says what is allowed, to be read after "it takes".
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

GOOGLE = "https://generativelanguage.googleapis.com"
SANDBOX_FOLDER = "./data-sandbox"

SWITCH = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


# What clients put behind the base by themselves: a version, and what follows it in Google's paths.
CLIENTS_PART = re.compile(r"(/v\d+[a-z]*\d*)+(/(models|openai)(/.*)?)?$|/openai$", re.IGNORECASE)


def host(text: str) -> str:
    """An address, of IPv6 without the brackets that it has in a URL; or a name."""
    allowed = "an address or host name without a port, such as 127.0.0.1"
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _is_host(bare) or any(c in "/@?#,[]" for c in bare):
        raise ValueError(allowed)
    # Only an IPv6 address has colons, or brackets around it.
    if ":" in bare or bare != text:
        try:
            IPv6Address(bare)
        except ValueError:
            raise ValueError(allowed) from None
    return bare


def port(text: str) -> int:
    # `int` takes signs, blanks, underscores and other scripts' digits too.
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    if not digits or not 0 < int(text) < 65536:
        raise ValueError("a whole number from 1 to 65535")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # Also what is no number (nan) or has no end (inf) fails this.
    if not 0 < value <= 86400:
        raise ValueError("seconds, more than 0 and at most 86400")
    return value


def folder(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("the path of a folder")
    return Path(text)


def url(text: str) -> str:
    """An absolute URL without the slash at its end; its path is kept as a prefix.

    Clients send version and all that follows it, so a prefix that ends in them would double them: 404 for
    every call. At Google's own host there is no prefix at all.
    """
    if not _is_plain_url(text):
        raise ValueError(f"an http:// or https:// URL without user, query and fragment, such as {GOOGLE}")
    given = text.rstrip("/")
    path = urlsplit(given).path
    # Google's own host answers under its root only.
    kept = "" if urlsplit(given).hostname == urlsplit(GOOGLE).hostname else CLIENTS_PART.sub("", path)
    if kept != path:
        base = given.removesuffix(path) + kept.rstrip("/")
        raise ValueError(f"the API's address without what clients put behind it (version and path): {base}")
    return given


def _is_plain_url(text: str) -> bool:
    if not all("!" <= c <= "~" for c in text) or any(c in "@?#" for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    """Printable ASCII, and no part of it so short or long that looking up the name would raise."""
    plain = all("!" <= c <= "~" for c in text)
    return plain and all(0 < len(part) < 64 for part in text.removesuffix(".").split("."))


def keys(text: str) -> tuple[str, ...]:
    found = tuple(key.strip() for key in text.split(",") if key.strip())
    if not found or not all("!" <= c <= "~" for key in found for c in key):
        raise ValueError("one key, or several separated by commas, of printable ASCII without blanks")
    return found


def secret(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or text.strip() != text:
        raise ValueError("printable ASCII characters without blanks around them")
    return text


def database(text: str) -> str:
    if text.startswith("postgres"):
        raise ValueError(
            "sqlite:///PATH or nothing at all; Postgres is not built yet, keys live in the data folder"
        )
    if not text.startswith("sqlite:///") or text == "sqlite:///":
        raise ValueError("sqlite:///PATH, or unset for the data folder's own database")
    return text


def timezone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        raise ValueError("an IANA time zone, such as UTC or Europe/Berlin") from None


def switch(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise ValueError("true or false")
    return SWITCH[text.lower()]
