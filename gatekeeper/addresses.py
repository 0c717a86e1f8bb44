"""IP addresses and hosts: binding sockets, recognizing this machine's addresses, its local URL, and requests
that may come from another site's page."""

from __future__ import annotations

import errno
import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:4000"  # where client commands look for a gateway
PORTS = {"http": 80, "https": 443}
WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  with the loopback address that reaches it
ADDRESS_UNAVAILABLE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
DISCARD_PORT = 9  # nothing is sent, but connecting needs a port
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9._-]{0,254})(?::([0-9]{0,5}))?")
URL_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,32}")  # a path without `.` and `..`

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def host_port(host: str, port: int) -> str:
    """`127.0.0.1:4000`, `[::1]:4000`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Host (IPv6 in brackets) and port, if given, of a `Host` header; None if it is invalid. What is accepted
    is safe to insert into a URL."""
    found = AUTHORITY.fullmatch(text)
    port = int(found[2]) if found and found[2] else None
    if found is None or port == 0 or (port or 0) > 65535:
        return None
    if found[1].startswith("["):
        try:
            IPv6Address(found[1][1:-1])
        except ValueError:
            return None
    return found[1], port


def local_url(host: str, port: int, scheme: str = "http") -> str:
    """The URL by which a client on this machine reaches a server that listens on `host`."""
    return f"{scheme}://{host_port(WILDCARD_HOSTS.get(host, host), port)}"


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Binds a listening socket for each address of the host, IPv4 first: some clients resolve `localhost` to
    `127.0.0.1`, others to `::1`. `::` is every address, including those of IPv4.

    Addresses that are not available (`::1` if IPv6 is off) are skipped. Raises OSError, with no socket left
    open, if one is in use, or none is available.
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
            except OSError as error:
                if error.errno not in ADDRESS_UNAVAILABLE:
                    raise
                missing = error
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
        # So that a restart need not wait for the last run's connections to leave TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv6 only, except for `::`: otherwise the two families could not be bound to the same port.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def bind_remedy(error: OSError) -> str:
    """What to do if `bind` fails."""
    if isinstance(error, socket.gaierror) or error.errno in ADDRESS_UNAVAILABLE:
        return "name an address of this machine: --host"
    if error.errno == errno.EACCES:
        return "choose a --port above 1023"
    return "stop what uses it, or choose another --port"


def is_own_url(url: str, port: int) -> bool:
    """Whether a URL names this port of this machine, by any address or name. Names are resolved only if the
    ports match; an unknown name is not this machine's."""
    parts = urlsplit(url)
    if (parts.port or PORTS[parts.scheme]) != port:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(is_local_address(str(address[0])) for *_, address in found)


def is_local_address(address: str) -> bool:
    """Whether an IP address is one of this machine's: then the route to it has it as source address."""
    to = parse_ip(address)
    # Connecting to 0.0.0.0 reaches this machine, too.
    if to.is_loopback or to.is_unspecified:
        return True
    family = socket.AF_INET if to.version == 4 else socket.AF_INET6
    try:
        # Connecting a datagram socket sends nothing; it only makes the system choose a route.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, DISCARD_PORT))
            return parse_ip(str(probe.getsockname()[0])) == to
    except OSError:  # no route
        return False


def parse_ip(address: str) -> Address:
    """Without the zone of a link-local address; an IPv4-mapped IPv6 address as IPv4. Raises ValueError."""
    # The zone is the name of an interface: it does not tell one address from another here.
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
def cross_site_reason(host: str, origin: str | None, site: str | None) -> str | None:
    """Why a request with these headers (`site` is `Sec-Fetch-Site`) comes from a web page of another site, as
    a message; None if it does not.

    In open mode the gateway listens on loopback only, but a browser on this machine runs other sites' pages.
    Three headers identify such requests: a page whose name resolves to 127.0.0.1 (DNS rebinding) sends that
    name as `Host`; a form or script of another page sends its `Origin`; and a browser that sends no `Origin`
    sends `Sec-Fetch-Site: cross-site` (https://www.w3.org/TR/fetch-metadata/). Programs send neither of the
    last two."""
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
    # Any IP address is accepted: a browser sends the page's own name as Host, never its address.
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
