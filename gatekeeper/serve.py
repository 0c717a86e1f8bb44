"""The running gateway: one nursery, from the first lock to the last line in the ledger."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import structlog
import trio
from hypercorn.config import Config

from gatekeeper import addresses, data_dir, runtime, startup
from gatekeeper.admin.gateway import Gateway
from gatekeeper.app import Gatekeeper
from gatekeeper.keys.registry import Registry
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.store import StoreError
from gatekeeper.ledger.ledger import Ledger
from gatekeeper.ledger.segments import NewerJournalError
from gatekeeper.logs import ServerLog, configure_logs
from gatekeeper.price_file import load_catalogue
from gatekeeper.pricing.catalogue import Catalogue, CatalogueError
from gatekeeper.proxy.asgi import Proxy
from gatekeeper.proxy.call import HEAD_LIMIT
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.spend import KeySpend
from gatekeeper.proxy.upstream import Upstream
from gatekeeper.runtime import Outlet
from gatekeeper.sandbox.server import serve_sandbox
from gatekeeper.server.listener import listen
from gatekeeper.settings import Settings

log = structlog.get_logger()

BACKLOG = 4096  # with Hypercorn's default of 100, hundreds of simultaneous connects wait for seconds
STUCK = 30.0  # seconds without a byte's progress to a client, after which the kernel drops the connection:
# Hypercorn's sends are shielded from cancellation, so one that hangs would hold up a stop for ever
# and a silent one is probed, so that a client that is no more is not waited for
KEEP_ALIVE = 75.0  # seconds an idle client connection is kept
LAST_WORDS = 6.0  # seconds after the drain's end that a cut call gets for its last event
LOOK = 0.05  # seconds between two looks whether the last call is over


class CannotStart(Exception):
    """Why there is no gateway: one line for people, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def main(settings: Settings) -> int:
    """Runs until stopped. Returns the exit status: 0 after a clean stop, 2 for settings that do not do, 6
    where the data folder is in use, 1 for a fault of ours."""
    try:
        check(settings)
        runtime.raise_descriptor_limit()
        data_dir.keep_private()
        catalogue = prices()
        # The port first: to find it taken must leave nothing behind in the data folder.
        with listening_sockets(settings) as listeners, locked(settings):
            # Only now, because what stops a start is told in one line, not as a log.
            configure_logs()
            for path, detail in data_dir.tighten(settings.data, settings.keys_file):
                log.warning("file_open_to_others", path=str(path), detail=detail)
            trio.run(run, settings, catalogue, listeners)
    except CannotStart as reason:
        Outlet(sys.stderr.fileno()).write(f"gatekeeper: {reason}\n")
        return reason.status
    return 0


def check(settings: Settings) -> None:
    """Raises CannotStart for what need not be tried to be known."""
    for obstacle in (startup.no_key(settings), startup.own_upstream(settings)):
        if obstacle:
            raise CannotStart(str(obstacle), obstacle.status)


def prices() -> Catalogue:
    try:
        return load_catalogue()
    except CatalogueError as fault:
        raise CannotStart(f"{fault}. Mend that entry, or install gatekeeper again", 2) from None
    except FileNotFoundError as fault:
        raise CannotStart(str(fault), 1) from None


@contextmanager
def listening_sockets(settings: Settings) -> Generator[list[socket.socket]]:
    """Bound before anything else is touched, so that a taken port costs nothing."""
    try:
        listeners = addresses.bind(settings.host, settings.port, BACKLOG)
    except OSError as fault:
        where = addresses.joined(settings.host, settings.port)
        todo = addresses.remedy(fault)
        raise CannotStart(f"cannot listen on {where}: {fault.strerror}; {todo}", 2) from None
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
            # Accepted connections inherit these.
            if sys.platform == "linux":
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STUCK * 1000))
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(STUCK))
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        yield listeners


@contextmanager
def locked(settings: Settings) -> Generator[None]:
    """The data folder, made where it is missing, of our kind, and nobody else's while we run."""
    data = settings.data
    with ExitStack() as held:
        try:
            # 0o700 from the first moment: whoever opens a folder before it is closed to others keeps it.
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(data_dir.hold(data, settings.keys_file))
        except data_dir.InUse as other:
            choice = "--data" if other.path == data else "DATABASE_URL"
            what = f"data folder {data}" if other.path == data else f"keys in {other.path}"
            raise CannotStart(
                f"another gateway uses the {what}. Stop it, or choose another {choice}", 6
            ) from None
        except OSError as fault:
            raise CannotStart(
                f"the data folder {data} is not writable: {fault.strerror}. Check --data", 2
            ) from None
        claim(settings)
        yield


def claim(settings: Settings) -> None:
    """Marks the folder as Google's or the sandbox's. Raises CannotStart where it is the other's."""
    try:
        obstacle = startup.other_kind(settings)
        if not obstacle:
            data_dir.leave_marks(settings)
    except OSError as fault:
        raise CannotStart(f"the data in {settings.data} cannot be used: {fault}", 2) from None
    if obstacle:
        raise CannotStart(str(obstacle), obstacle.status)


async def run(settings: Settings, catalogue: Catalogue, listeners: list[socket.socket]) -> None:
    """Serves until a signal, drains, and closes everything in turn. Signals are received to the very end: one
    that comes while everything is written down must not break that off."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with opened(settings, catalogue) as gateway, trio.open_nursery() as nursery:
            stop = trio.Event()
            nursery.start_soon(drain, gateway, signals, stop)
            # The sockets listen already: who calls as soon as it is printed is answered.
            startup.show(settings, listeners[0].getsockname())
            runtime.spare_collections()
            app, config = Gatekeeper(gateway), server_config()
            async with trio.open_nursery() as servers:
                for listener in listeners:
                    servers.start_soon(listen, app, config, listener, stop, app.directly)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def opened(settings: Settings, catalogue: Catalogue) -> AsyncGenerator[Gateway]:
    """A gateway with its keys, ledger, upstream and their tasks; afterwards all is written and closed."""
    try:
        store = SqliteKeyStore(settings.keys_file)
        registry = Registry(store)
        ledger = Ledger(settings.data, settings.timezone)
        # Keys and spend are brought up to the journal's end before the first call, or a budget that was used
        # up at a kill -9 would be whole again.
        key_spend = KeySpend(registry, await registry.load())
        follower = ledger.consumers.follow(key_spend, holds=None)  # sinks are to follow here, too
        ledger.recover()
        await follower.feed()
        key_spend.replaying = False
    except (OSError, StoreError, NewerJournalError) as fault:
        raise CannotStart(f"the data in {settings.data} cannot be used: {fault}", 2) from None
    try:
        async with trio.open_nursery() as nursery:
            upstream = await open_upstream(settings, nursery)
            proxy = Proxy(ProxyContext(settings, upstream, registry, ledger, catalogue))
            nursery.start_soon(ledger.run)
            nursery.start_soon(proxy.sweep)
            yield Gateway(settings=settings, registry=registry, ledger=ledger, proxy=proxy)
            # After the last call: its line goes into the ledger, which is closed below, behind everything
            # else.
            upstream.close_idle()
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await ledger.close()
            store.close()


async def open_upstream(settings: Settings, nursery: trio.Nursery) -> Upstream:
    """Google, or the sandbox on a port of its own that only this machine reaches."""
    url = settings.upstream
    if settings.sandbox:
        port: int = await nursery.start(serve_sandbox, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}"
    return Upstream(url, connect_timeout=settings.connect_timeout)


def server_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE
    # Hypercorn closes a connection after 1,000 requests, which a busy client would feel as a reset.
    config.keep_alive_max_requests = sys.maxsize
    config.h11_max_incomplete_size = HEAD_LIMIT
    config.include_date_header = False  # an answer has the upstream's
    config.include_server_header = False
    config.graceful_timeout = LAST_WORDS
    config.logger_class = ServerLog  # pyright: ignore[reportAttributeAccessIssue]  it needs the methods only
    return config


async def drain(gateway: Gateway, signals: AsyncIterator[int], stop: trio.Event) -> None:
    """After the first signal new calls are refused, by a server that still answers, and the open ones may
    finish. A second signal, or the drain's end, cuts them."""
    await anext(signals)
    log.info("stopping", open_calls=len(gateway.proxy.open_calls))
    gateway.proxy.context.draining = True
    # Live streams of events have no end of their own, and would use up the whole drain.
    gateway.ledger.stop_answering()
    with trio.move_on_after(gateway.settings.drain_timeout):
        await last_call(gateway, signals)
    gateway.proxy.cut_all()
    stop.set()


async def last_call(gateway: Gateway, signals: AsyncIterator[int]) -> None:
    """Returns at the end of the last call that was let in, or at a signal."""

    async def cancel_at_signal() -> None:
        await anext(signals)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_at_signal)
        while gateway.proxy.at_work:  # noqa: ASYNC110  an event would cost every call, all the time
            await trio.sleep(LOOK)
        nursery.cancel_scope.cancel()
