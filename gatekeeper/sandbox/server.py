"""The sandbox's server: Hypercorn on trio."""

from __future__ import annotations

import logging
import socket

import trio
from hypercorn.config import Config

from gatekeeper.addresses import bind
from gatekeeper.sandbox.asgi import Sandbox
from gatekeeper.server.listener import serve_listener

# With Hypercorn's default of 100, hundreds of clients that connect at once would wait for seconds.
BACKLOG = 4096
# About as long as Google's front end keeps an idle connection.
IDLE_SECONDS = 240
# Hypercorn closes a connection after 1,000 requests unless told otherwise.
UNLIMITED = 2**62
MAX_HEAD_BYTES = 64 * 1024


async def serve_sandbox(
    host: str,
    port: int,
    *,
    time_scale: float = 1.0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the port (for `port` 0 any free one) as soon as clients can connect.
    Raises OSError if it cannot listen on the address."""
    listeners = bind_listeners(host, port)
    task_status.started(listeners[0].getsockname()[1])
    await serve_on(listeners, time_scale=time_scale)


def bind_listeners(host: str, port: int) -> list[socket.socket]:
    """Raises OSError if it cannot listen on the address."""
    listeners = bind(host, port, BACKLOG)
    for listener in listeners:
        # Otherwise Nagle's algorithm would delay small events.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listeners


async def serve_on(listeners: list[socket.socket], *, time_scale: float = 1.0) -> None:
    """Serves until cancelled."""
    app, config, no_shutdown = Sandbox(time_scale=time_scale), hypercorn_config(), trio.Event()
    async with trio.open_nursery() as servers:
        for listener in listeners:
            servers.start_soon(serve_listener, app, config, listener, no_shutdown)


def hypercorn_config() -> Config:
    """Errors of the sandbox go to the log `gatekeeper.sandbox`."""
    config = Config()
    config.errorlog = logging.getLogger("gatekeeper.sandbox")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = UNLIMITED
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    return config
