"""Serves the sandbox with Hypercorn on trio."""

from __future__ import annotations

import logging
import socket

import trio
from hypercorn.config import Config

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
    listener = bound(host, port)
    task_status.started(listener.getsockname()[1])
    await listen(Sandbox(pace=pace), settings(), listener, trio.Event())


def bound(host: str, port: int) -> socket.socket:
    """Bound here and not by Hypercorn, whose nurseries would wrap a refusal in groups of exceptions."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small events wait for each other
    return listener


def settings() -> Config:
    """Hypercorn's. Faults of the sandbox go to the log `gatekeeper.sandbox`."""
    config = Config()
    config.errorlog = logging.getLogger("gatekeeper.sandbox")
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.keep_alive_max_requests = NEVER
    config.h11_max_incomplete_size = LARGEST_HEAD
    return config
