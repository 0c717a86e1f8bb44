"""Which requests may come from a browser while nobody is asked for a key.

In open mode the gateway listens on loopback only, but the browser on this machine is there too, running
other people's pages. Three things tell them: a page that had its own name resolve to 127.0.0.1 (DNS
rebinding) sends that name as `Host`; a form or script of another page sends its `Origin`; and where a browser
sends none, it says `Sec-Fetch-Site: cross-site` (https://www.w3.org/TR/fetch-metadata/). Programs send
neither of the last two.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from gatekeeper.settings import is_loopback


@lru_cache(maxsize=256)
def foreign(host: str, origin: str | None, site: str | None) -> str | None:
    """Why a request with these headers (`site` is `Sec-Fetch-Site`) is not of this machine, for people; None
    where it may be."""
    if not _is_local_name(_hostname(f"//{host}")):
        what = f"The Host {host[:200]!r} is neither an IP address nor localhost"
        why = "a page on the web can make its own name point to this machine"
    elif origin is not None and not is_loopback(_hostname(origin)):
        what = f"The Origin {origin[:200]!r} is not of this machine"
        why = "a page on the web can send requests here"
    elif origin is None and site == "cross-site":
        what = "This request was sent by a page of another site (Sec-Fetch-Site: cross-site)"
        why = "a page on the web can send requests here"
    else:
        return None
    remedy = "Use http://127.0.0.1 from this machine, or set GATEKEEPER_MASTER_KEY and send it"
    return f"{what}. Without a master key that is refused: {why}. {remedy}"


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_local_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
