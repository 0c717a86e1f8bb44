"""Which addresses are this machine's own, and how a client is told the one that is listened on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from rig.cases import cases
from rig.process import free_port

from gatekeeper.addresses import bind, bind_remedy, host_port, is_local_address, is_own_url, local_url

PORT = 4000


def outgoing() -> str:
    """The address that this machine has for others; without a network, a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


@cases(
    "url",
    [
        "http://127.0.0.1:4000",
        "http://127.0.0.1:4000/gemini",
        "https://127.0.0.1:4000",
        "http://127.8.9.10:4000",
        "http://localhost:4000/any/path",
        "HTTP://LOCALHOST:4000",
        "http://[::1]:4000",
        "http://[::ffff:127.0.0.1]:4000",
        "http://[::]:4000",
        "http://0.0.0.0:4000",
        "http://2130706433:4000",
        f"http://{socket.gethostname()}:4000",
        f"http://{outgoing()}:4000",
    ],
)
def test_whatever_it_is_called_it_is_this_machine(url: str) -> None:
    assert is_own_url(url, PORT)
    assert not is_own_url(url, PORT + 1)


@pytest.mark.parametrize(
    ("url", "port"), [("http://localhost", 80), ("https://localhost", 443), ("http://127.0.0.1/gemini", 80)]
)
def test_a_port_that_goes_without_saying(url: str, port: int) -> None:
    assert is_own_url(url, port)
    assert not is_own_url(url, PORT)


@cases("address", ["192.0.2.77", "2001:db8::77", "::ffff:192.0.2.77", "fe80::77%nowhere"])
def test_others_are_not(address: str) -> None:
    """Addresses that are for documentation only; nothing is sent to them."""
    assert not is_local_address(address)


def test_a_name_is_not_looked_up_where_the_ports_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert not is_own_url("https://generativelanguage.googleapis.com", PORT)


@cases(
    ("host", "shown", "url"),
    [
        ("127.0.0.1", "127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("::1", "[::1]:4000", "http://[::1]:4000"),
        ("0.0.0.0", "0.0.0.0:4000", "http://127.0.0.1:4000"),
        ("::", "[::]:4000", "http://[::1]:4000"),
        ("gateway.example", "gateway.example:4000", "http://gateway.example:4000"),
    ],
)
def test_what_a_client_on_this_machine_is_told(host: str, shown: str, url: str) -> None:
    assert (host_port(host, PORT), local_url(host, PORT)) == (shown, url)


# Listening


def reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@cases(
    ("host", "reached", "not_reached"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1"]),
        ("::1", ["::1"], ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["::1"]),
        ("::", ["::1", "127.0.0.1"], []),
    ],
)
def test_an_address_is_listened_on(host: str, reached: list[str], not_reached: list[str]) -> None:
    with closing_all(bind(host, 0, 5)) as (listener,):
        port = listener.getsockname()[1]
        assert [address for address in reached if not reaches(address, port)] == []
        assert [address for address in not_reached if reaches(address, port)] == []


def test_a_name_is_listened_on_at_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `localhost` is on most machines; here the name is one that no list of names has."""
    names(monkeypatch, ["::1", "127.0.0.1", "127.0.0.1", "192.0.2.77"])
    port = free_port()
    with closing_all(bind("loopback.test", port, 5)) as listeners:
        assert [listener.getsockname()[:2] for listener in listeners] == [("127.0.0.1", port), ("::1", port)]
        assert all(reaches(address, port) for address in ("127.0.0.1", "::1"))


def test_of_several_addresses_all_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.1", "::1"])
    with closing_all(bind("::1", 0, 5)) as (holder,):
        port = holder.getsockname()[1]
        with pytest.raises(OSError, match="in use") as refused:
            bind("loopback.test", port, 5)
        assert bind_remedy(refused.value) == "stop what uses it, or choose another --port"
    with closing_all(bind("127.0.0.1", port, 5)):
        """It was let go."""


@cases(
    ("fault", "said"),
    [
        (OSError(errno.EADDRNOTAVAIL, ""), "name an address of this machine: --host"),
        (socket.gaierror(socket.EAI_NONAME, ""), "name an address of this machine: --host"),
        (OSError(errno.EACCES, ""), "choose a --port above 1023"),
        (OSError(errno.EADDRINUSE, ""), "stop what uses it, or choose another --port"),
    ],
)
def test_what_to_do_where_it_cannot_be_listened_on(fault: OSError, said: str) -> None:
    assert bind_remedy(fault) == said


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(OSError, match="assign") as refused:
        bind("192.0.2.77", free_port(), 5)
    assert bind_remedy(refused.value) == "name an address of this machine: --host"


@contextmanager
def closing_all(listeners: list[socket.socket]) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(listener) for listener in listeners]


def names(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """What `loopback.test` stands for: this machine's own list of names is not the tests' to change."""
    real = socket.getaddrinfo

    def looked_up(host: str, port: int, *args: Any, **rest: Any) -> list[Any]:
        hosts = addresses if host == "loopback.test" else [host]
        return [found for each in hosts for found in real(each, port, *args, **rest)]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
