"""Parsers of settings.

Each takes text and raises ValueError that says what is allowed, to be read after "it takes".
"""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gatekeeper.addresses import URL_PREFIX, Network, split_authority
from gatekeeper.times import parse_duration

DOLLARS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
GOOGLE_API_URL = "https://generativelanguage.googleapis.com"
SANDBOX_FOLDER = "./data-sandbox"

NETWORKS = "127.0.0.1, 10.0.0.0/8, fd00::/8"

BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


# What clients append to the base URL: a version, and what follows it in Google's paths.
CLIENT_PATH_SUFFIX = re.compile(r"(/v\d+[a-z]*\d*)+(/(models|openai)(/.*)?)?$|/openai$", re.IGNORECASE)


ANY_ORIGIN = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
USUAL_PORT = re.compile(r"\A(http:.+):80\Z|\A(https:.+):443\Z")


def host(text: str) -> str:
    """A host name or an address; IPv6 without the brackets that it has in a URL."""
    allowed = "an address or host name without a port, such as 127.0.0.1"
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    # A URL, or a host with a port, is what is given here by mistake.
    if not _is_host(bare) or any(c in "/@?#,[]" for c in bare):
        raise ValueError(allowed)
    # Only an IPv6 address has colons, or brackets.
    if ":" in bare or bare != text:
        try:
            IPv6Address(bare)
        except ValueError:
            raise ValueError(allowed) from None
    return bare


def port(text: str) -> int:
    # `int` takes signs, spaces, underscores and other scripts' digits too.
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    if not digits or not 0 < int(text) < 65536:
        raise ValueError("a whole number from 1 to 65535")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # nan and inf fail this too.
    if not 0 < value <= 86400:
        raise ValueError("seconds, more than 0 and at most 86400")
    return value


def count(text: str) -> int:
    digits = text.isascii() and text.isdigit() and len(text) <= 18
    if not digits or not int(text):
        raise ValueError("a whole number from 1")
    return int(text)


def dollars(text: str) -> Decimal:
    allowed = "dollars from 0 to 999999999999 with at most 12 decimal places"
    if not DOLLARS.fullmatch(text):
        raise ValueError(allowed)
    return Decimal(text)


def budget_duration(text: str) -> str:
    if not parse_duration(text):
        raise ValueError("a number with one of s m h d w mo, as 12h, 30d or 1mo")
    return text


def on_disconnect(text: str) -> str:
    if text not in ("cancel", "finish"):
        raise ValueError("cancel or finish")
    return text


def unowned(text: str) -> str:
    if text not in ("deny", "allow"):
        raise ValueError("deny or allow")
    return text


def folder(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("the path of a folder")
    return Path(text)


def file(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("the path of a file")
    return Path(text)


PATHS: dict[object, str] = {folder: "dir", file: "file"}
"""What a shell completes for these."""


def url(text: str) -> str:
    """An absolute URL without a trailing slash; its path is kept as a prefix.

    Clients send the version and what follows it, so a prefix that ends with them would repeat them: 404 for
    every call. Google's own host has no prefix at all.
    """
    if not _is_plain_url(text):
        raise ValueError(
            f"an http:// or https:// URL without user, query and fragment, such as {GOOGLE_API_URL}"
        )
    given = text.rstrip("/")
    path = urlsplit(given).path
    # Google's own host has the API at its root only.
    kept = (
        ""
        if urlsplit(given).hostname == urlsplit(GOOGLE_API_URL).hostname
        else CLIENT_PATH_SUFFIX.sub("", path)
    )
    if kept != path:
        base = given.removesuffix(path) + kept.rstrip("/")
        raise ValueError(f"the API's address without what clients append (version and path): {base}")
    return given


def public_url(text: str) -> str:
    """The gateway's own address, without a trailing slash and without the `/gemini` of a base URL."""
    parts = urlsplit(text) if _is_plain_url(text) else None
    path = "" if parts is None else parts.path.rstrip("/")
    if parts is None or split_authority(parts.netloc) is None or not URL_PREFIX.fullmatch(path):
        raise ValueError(
            "an http:// or https:// URL without user, query and fragment, such as https://gateway.example"
        )
    base = f"{parts.scheme}://{parts.netloc}"
    kept = CLIENT_PATH_SUFFIX.sub("", path)
    if kept != path:
        raise ValueError(f"the address without what clients append (version and path): {base}{kept}")
    return base + path.removesuffix("/gemini")


def networks(text: str) -> tuple[Network, ...]:
    try:
        found = tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
        wrong = "" if found else "there is none"
    except ValueError as error:
        found, wrong = (), str(error)
    if wrong:
        raise ValueError(f"addresses and networks separated by commas, such as {NETWORKS} ({wrong})")
    return found


def origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them: in lower case, without the scheme's usual port."""
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not found or not all(part == ANY_ORIGIN or ORIGIN.fullmatch(part) for part in found):
        raise ValueError(
            "origins separated by commas, each a scheme and a host without a path, such as "
            "https://app.example:8443; or * for any"
        )
    return tuple(USUAL_PORT.sub(r"\1\2", part) for part in found)


def _is_plain_url(text: str) -> bool:
    if not all("!" <= c <= "~" for c in text) or any(c in "@?#" for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    """Printable ASCII, with labels of 1 to 63 characters: resolving other names would raise."""
    plain = all("!" <= c <= "~" for c in text)
    return plain and all(0 < len(part) < 64 for part in text.removesuffix(".").split("."))


def keys(text: str) -> tuple[str, ...]:
    found = tuple(key.strip() for key in text.split(",") if key.strip())
    if not found or not all("!" <= c <= "~" for key in found for c in key):
        raise ValueError(
            "one key, or several separated by commas, of printable ASCII characters without spaces"
        )
    return found


def tables_only(_text: str) -> object:
    raise ValueError("tables of the settings file, each under [[google_keys]]")


def secret(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or text.strip() != text:
        raise ValueError("printable ASCII characters without leading or trailing spaces")
    return text


def database_url(text: str) -> str:
    if text.startswith("postgres"):
        raise ValueError(
            "sqlite:///PATH, or unset; Postgres is not supported yet, keys are stored in the data folder"
        )
    if not text.startswith("sqlite:///") or text == "sqlite:///":
        raise ValueError("sqlite:///PATH, or unset for the data folder's own database")
    return text


# Files of systems beside those of IANA's zones. What has them is a zone to Python, but not to DuckDB.
SYSTEM_ZONES = ("localtime", "posixrules", "posix/", "right/")


def timezone(text: str) -> str:
    with suppress(ValueError, OSError, KeyError):
        if not text.startswith(SYSTEM_ZONES):
            return ZoneInfo(text).key
    raise ValueError("an IANA time zone, such as UTC or Europe/Berlin")


def boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError("true or false")
    return BOOLEANS[text.lower()]
