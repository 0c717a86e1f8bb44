"""Serves the sandbox with Hypercorn on trio."""

from __future__ import annotations

import logging
import socket

import trio
from hypercorn.config import Config

from gatekeeper.addresses import bind
from gatekeeper.sandbox.app import Sandbox
from gatekeeper.server.listen import listen

BACKLOG = 4096  # Hypercorn's 100 makes hundreds of clients that come at once wait for seconds
IDLE_SECONDS = 240  # Google's front end keeps an idle connection about as long
NEVER = 2**62
LARGEST_HEAD = 64 * 1024


async def serve_sandbox(
    host: str,
    port: int,
    *,
    pace: float = 1.0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until cancelled; reports the port, which for `port` 0 is any free one, as soon as clients can
    connect. Raises OSError if the address cannot be had."""
    listeners = bound(host, port)
    task_status.started(listeners[0].getsockname()[1])
    await serve_on(listeners, pace=pace)


def bound(host: str, port: int) -> list[socket.socket]:
    """Raises OSError if the address cannot be had."""
    listeners = bind(host, port, BACKLOG)
    for listener in listeners:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small events wait for each other
    return listeners


async def serve_on(listeners: list[socket.socket], *, pace: float = 1.0) -> None:
    """Serves until cancelled."""
    app, config, never = Sandbox(pace=pace), settings(), trio.Event()
    async with trio.open_nursery() as servers:
        for listener in listeners:
            servers.start_soon(listen, app, config, listener, never)


def settings() -> Config:
    """Hypercorn's. Faults of the sandbox go to the log `gatekeeper.sandbox`."""
    config = Config()
    config.errorlog = logging.getLogger("gatekeeper.sandbox")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = NEVER
    config.h11_max_incomplete_size = LARGEST_HEAD
    return config
