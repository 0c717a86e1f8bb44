"""Addresses of this machine: listening on them, which are its own, how a client on it names them, and which
requests may come from a page of the web."""

from __future__ import annotations

import errno
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:4000"  # where client commands look for a gateway
PORTS = {"http": 80, "https": 443}
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what listens on all is reached on this one
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
DISCARD = 9  # a port: nothing is sent, but to connect needs one


def joined(host: str, port: int) -> str:
    """`127.0.0.1:4000`, `[::1]:4000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_url(host: str, port: int) -> str:
    """Where a client on this machine reaches what listens on `host`."""
    return f"http://{joined(ANY.get(host, host), port)}"


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """A listening socket for each address that the host stands for, those of IPv4 first: `localhost` is
    `127.0.0.1` to one client and `::1` to the next. `::` is every address, those of IPv4 included.

    What a name has beyond this machine's addresses (`::1` where IPv6 is off) is passed over. Raises OSError,
    with no socket left open, if one is in use, or there is none to listen on.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = dict.fromkeys((family, address) for family, *_, address in found)
    sockets: list[socket.socket] = []
    missing = OSError(errno.EADDRNOTAVAIL, "No such address")
    try:
        # IPv4 first: its address is the one that the start-up block shows.
        for family, address in sorted(places, key=lambda place: place[0] != socket.AF_INET):
            try:
                sockets.append(_listening(family, address, backlog))
            except OSError as fault:
                if fault.errno not in ABSENT:
                    raise
                missing = fault
        if not sockets:
            raise missing
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _listening(family: int, address: tuple[object, ...], backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # For one IPv6 address its own traffic only, so that both families can be bound beside each other.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def remedy(fault: OSError) -> str:
    """What to do where `bind` fails."""
    if isinstance(fault, socket.gaierror) or fault.errno in ABSENT:
        return "name an address of this machine: --host"
    if fault.errno == errno.EACCES:
        return "choose a --port above 1023"
    return "stop what uses it, or choose another --port"


def leads_here(url: str, port: int) -> bool:
    """Whether a URL names this port of this machine, by whatever address or name. Names are looked up only
    where the ports agree; one that is unknown leads nowhere."""
    parts = urlsplit(url)
    if (parts.port or PORTS[parts.scheme]) != port:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(is_own(str(address[0])) for *_, address in found)


def is_own(address: str) -> bool:
    """Whether an IP address is one of this machine's: then what goes to it also comes from it."""
    to = _plain(address)
    if to.is_loopback or to.is_unspecified:
        return True
    family = socket.AF_INET if to.version == 4 else socket.AF_INET6
    try:
        # A datagram socket sends nothing by connecting; it only makes the system choose a way.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, DISCARD))
            return _plain(str(probe.getsockname()[0])) == to
    except OSError:  # no way leads there
        return False


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Without the zone of a link-local address, and IPv4 inside IPv6 as what it is."""
    found = ip_address(address.partition("%")[0])
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def foreign(host: str, origin: str | None, site: str | None) -> str | None:
    """Why a request with these headers (`site` is `Sec-Fetch-Site`) is not of this machine, for people; None
    where it may be.

    In open mode the gateway listens on loopback only, but the browser on this machine is there too, running
    other people's pages. Three things tell them: a page that had its own name resolve to 127.0.0.1 (DNS
    rebinding) sends that name as `Host`; a form or script of another page sends its `Origin`; and where a
    browser sends none, it says `Sec-Fetch-Site: cross-site` (https://www.w3.org/TR/fetch-metadata/). Programs
    send neither of the last two."""
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
    # Any address will do: a page cannot make a browser send one as the Host of its own name.
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
