"""Connections to a host: by the address that was reached before, as long as that answers."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from gatekeeper.upstream.pool import REMEMBERED_SECONDS, Dialer


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names whose addresses were all tried."""
    names: list[str] = []
    plain = trio.open_tcp_stream

    async def noted(host: str, port: int) -> trio.SocketStream:
        names.append(host)
        return await plain(host, port)

    monkeypatch.setattr(trio, "open_tcp_stream", noted)
    return names


async def dial(dialer: Dialer, listener: socket.socket) -> None:
    async with await dialer.open() as stream:
        accepted, address = listener.accept()
        assert address == stream.socket.getsockname()
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        accepted.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_name_is_looked_up_once_in_a_while(
    host: str, looked_up: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialer = Dialer(host, listener.getsockname()[1])
        for _ in range(3):
            await dial(dialer, listener)
        assert looked_up == [host]
        await trio.sleep(REMEMBERED_SECONDS)
        await dial(dialer, listener)
        assert looked_up == [host] * 2


async def test_where_an_address_is_gone_all_are_tried(looked_up: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dialer = Dialer("127.0.0.1", port)
        await dial(dialer, listener)
    with pytest.raises(OSError, match=r"refused|attempts"):
        await dialer.open()
    assert looked_up == ["127.0.0.1"] * 2
    with socket.create_server(("127.0.0.1", port)) as listener:
        await dial(dialer, listener)
        await dial(dialer, listener)
    assert looked_up == ["127.0.0.1"] * 3


async def test_a_connection_that_is_given_up_leaves_no_socket(looked_up: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialer = Dialer("127.0.0.1", listener.getsockname()[1])
        await dial(dialer, listener)
        with trio.CancelScope() as scope:
            scope.cancel()
            await dialer.open()
        assert scope.cancelled_caught
        listener.settimeout(0.2)
        accepted, _ = listener.accept()
        accepted.settimeout(5)
        assert accepted.recv(1) == b""
        accepted.close()
    assert looked_up == ["127.0.0.1"]


async def test_an_address_that_resets_at_once_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trio.open_tcp_stream

    async def reset(host: str, port: int) -> trio.SocketStream:
        stream = await plain(host, port)
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        return stream

    monkeypatch.setattr(trio, "open_tcp_stream", reset)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialer = Dialer("127.0.0.1", listener.getsockname()[1])
        for _ in range(2):
            async with await dialer.open() as stream:
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()
