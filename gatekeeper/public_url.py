"""The URL by which a client reached this gateway, and the client's address, also behind reverse proxies.

Addresses that the gateway hands out (of an upload, in error messages) must lead the client back the way it
came. The setting `public_url` names that way; otherwise it is the request's scheme and `Host`. Headers in
which a proxy tells how it was reached itself (`X-Forwarded-*`; `Forwarded`, RFC 7239) count only from a peer
among the `trusted_proxies`: anybody can send them.

No I/O. Nothing here is computed for a plain call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from gatekeeper.addresses import PORTS, URL_PREFIX, Address, Network, host_port, parse_ip, split_authority
from gatekeeper.settings import Settings

T = TypeVar("T")

MAX_HOPS = 20  # proxies in a row that are looked at
SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}  # some proxies name a WebSocket's
# One `name=value` of `Forwarded`, quoted or not, and what ends it. Values with a colon should be quoted, and
# often are not.
PAIR = re.compile(r'[ \t]*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",; \t]*))[ \t]*([;,]|\Z)')
NODE = re.compile(r"\[(?P<v6>[^\]]*)\](?::\w*)?|(?P<v4>[0-9.]+)(?::\w*)?|(?P<bare>[0-9A-Fa-f:.]+(?:%\w+)?)")


RequestScope = Mapping[str, Any]
"""ASGI's scope of a request."""


class Origin(NamedTuple):
    """The URL by which the client made its request, as far as proxies tell; `port` and `prefix` may be
    empty."""

    client: str
    scheme: str
    host: str
    port: str = ""
    prefix: str = ""


def public_base(scope: RequestScope, settings: Settings) -> str:
    """The gateway's URL without a trailing slash and without `/gemini`, such as `https://gateway.example`."""
    if settings.public_url:
        return settings.public_url
    origin = _origin(scope, settings.trusted_proxies or ())
    scheme = SCHEMES.get(origin.scheme.lower()) or SCHEMES[scope["scheme"]]
    prefix = origin.prefix.rstrip("/")
    return f"{scheme}://{_authority(scope, scheme, origin)}{prefix if URL_PREFIX.fullmatch(prefix) else ''}"


def client_address(scope: RequestScope, settings: Settings) -> str:
    """The IP address of the client; of the proxy in front of it where that does not tell. It may be empty."""
    return _origin(scope, settings.trusted_proxies or ()).client


def _authority(scope: RequestScope, scheme: str, origin: Origin) -> str:
    """Host and port for a URL: as the proxy tells, else of the request, else the address listened on."""
    hosts = _values(scope, b"host")
    # Of several fields none can be relied on.
    found = split_authority(origin.host) or (split_authority(hosts[0]) if len(hosts) == 1 else None)
    if found is None:
        host, port = scope.get("server") or ("localhost", None)
        listening = host_port(str(_address(host) or host), port or PORTS[scheme])
        return listening.removesuffix(f":{PORTS[scheme]}")
    host, port = found
    # Some proxies send the host without its port, and the port by itself; the usual ones need not be named.
    if port is None and (told := split_authority(f"{host}:{origin.port}")) and told[1] not in PORTS.values():
        port = told[1]
    return host if port is None else f"{host}:{port}"


def _origin(scope: RequestScope, trusted: Sequence[Network]) -> Origin:
    peer = (scope.get("client") or ("",))[0]
    address = _address(peer) if trusted else None
    if address is None or not _is_trusted(address, trusted):
        return Origin(peer, "", "")
    addresses = _list(scope, b"x-forwarded-for")
    elements = forwarded_elements(", ".join(_values(scope, b"forwarded")))
    nodes = [element["for"] for element in elements if "for" in element]
    hops, client = _walk(addresses, trusted)
    steps, node = _walk(nodes, trusted)
    # A proxy may write one of the two headers and pass the other on as the client has sent it.
    told = {found for found, given in ((client, addresses), (node, nodes)) if given}
    element = _chosen(elements, steps, {})
    return Origin(
        (told.pop() if len(told) == 1 else None) or peer,
        _chosen(_list(scope, b"x-forwarded-proto"), hops, element.get("proto", "")),
        _chosen(_list(scope, b"x-forwarded-host"), hops, element.get("host", "")),
        _chosen(_list(scope, b"x-forwarded-port"), hops, ""),
        _chosen(_list(scope, b"x-forwarded-prefix"), hops, ""),
    )


def _walk(nodes: Sequence[str], trusted: Sequence[Network]) -> tuple[int, str | None]:
    """From the last proxy towards the client: how many of the nodes are trusted proxies, and the address of
    the first that is not; of the furthest proxy where what it names is no address."""
    hops, found = 0, None
    # From the right, where the proxies nearest to the gateway have appended theirs.
    for node in reversed(nodes[-MAX_HOPS:]):
        if (address := _address(node)) is None:
            break
        found = str(address)
        if not _is_trusted(address, trusted):
            break
        hops += 1
    return hops, found


def _chosen(values: Sequence[T], hops: int, default: T) -> T:
    """The value that the outermost trusted proxy wrote, if each has appended its own; what is further left
    was sent by the client. Fewer values than proxies: the first."""
    return values[max(0, len(values) - 1 - hops)] if values else default


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _address(node: str) -> Address | None:
    """The IP address of a node, which may have a port and brackets; None for a name or a pseudonym."""
    found = NODE.fullmatch(node)
    try:
        return parse_ip(found["v6"] or found["v4"] or found["bare"]) if found else None
    except ValueError:
        return None


def forwarded_elements(text: str) -> list[dict[str, str]]:
    """The elements of `Forwarded`, one for each proxy, with names in lower case; none if it is malformed."""
    elements: list[dict[str, str]] = [{}]
    place = 0
    while place < len(text):
        pair = PAIR.match(text, place)
        # RFC 7239 §4: a parameter comes once in an element.
        if pair is None or pair[1].lower() in elements[-1]:
            return []
        value = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
        elements[-1][pair[1].lower()] = value
        place = pair.end()
        if pair[4] == ",":
            elements.append({})
    return elements if any(elements) else []


def _list(scope: RequestScope, name: bytes) -> list[str]:
    """The items of a header that is a list, over all its fields."""
    return [item.strip() for value in _values(scope, name) for item in value.split(",") if item.strip()]


def _values(scope: RequestScope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for field, value in scope["headers"] if field == name]
