"""Runs the gateway: preflight checks, sockets and locks, the servers, and the shutdown."""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import trio
from hypercorn.config import Config

from gatekeeper import addresses, data_dir, runtime, startup
from gatekeeper.app import Gatekeeper
from gatekeeper.data_stores import DataUnusable, open_data
from gatekeeper.gateway import Gateway
from gatekeeper.keys.repriced_spend import poll_repriced_runs
from gatekeeper.keys.sqlite_file import make_checkpoints
from gatekeeper.logs import HypercornLogger, configure_logs, log
from gatekeeper.price_watch import PriceWatch
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_faults import CatalogueError
from gatekeeper.proxy.asgi import Proxy
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.lifecycle import MAX_REQUEST_HEAD
from gatekeeper.proxy.polling import PendingPoller, check_refused_keys
from gatekeeper.runtime import NonBlockingWriter
from gatekeeper.server.certificate import CertificateError, ServerCertificate
from gatekeeper.server.listener import serve_listener
from gatekeeper.server.sockets import detect_dead_peer
from gatekeeper.settings import Settings
from gatekeeper.startup import load_catalogue
from gatekeeper.stop_signals import SIGNALS, StopSignals, controlling_terminal
from gatekeeper.upstream.pool import UpstreamPool

BACKLOG = 4096  # with Hypercorn's default of 100, hundreds of simultaneous connects wait for seconds
KEEP_ALIVE = 75.0  # seconds an idle client connection is kept
CLOSE_TIMEOUT = 6.0  # seconds after the drain's end for a cut call's final event
POLL_INTERVAL = 0.05  # seconds between two checks whether admitted calls still run, or others use the data


class StartupError(Exception):
    """The gateway cannot start: a message with a line for each reason, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def main(settings: Settings) -> int:
    """Runs until stopped. Returns the exit status: 0 after a clean shutdown, 2 for invalid settings, 6 if the
    data folder is in use, 1 for an internal error."""
    try:
        preflight(settings)
        certificate = read_certificate(settings)
        runtime.raise_descriptor_limit()
        # Before any file is made.
        data_dir.set_private_umask()
        catalogue = read_catalogue(settings)
        # The port first: if it is taken, nothing may be left behind in the data folder.
        with listening_sockets(settings) as listeners, locked_data_folder(settings):
            # Only now: a failed start prints one line, not a log.
            configure_logs()
            for path, detail in data_dir.restrict_permissions(settings.data, settings.keys_file):
                log.warning("file_permissions_too_open", path=str(path), detail=detail)
            if certificate and startup.is_key_exposed(settings):
                log.warning("file_permissions_too_open", path=str(settings.tls_key), detail="tls_key")
            trio.run(run, settings, catalogue, listeners, certificate)
    except StartupError as reason:
        lines = [f"gatekeeper: {line}\n" for line in str(reason).splitlines()]
        NonBlockingWriter(sys.stderr.fileno()).write("".join(lines))
        return reason.status
    return 0


def preflight(settings: Settings) -> None:
    """Raises StartupError for invalid settings."""
    for problem in (startup.missing_google_key(settings), startup.upstream_is_self(settings)):
        if problem:
            raise StartupError(str(problem), problem.status)


def read_certificate(settings: Settings) -> ServerCertificate | None:
    """The certificate of the settings, if they name one. Raises StartupError if it cannot be used."""
    if not (settings.tls_cert and settings.tls_key):
        return None
    try:
        return ServerCertificate(settings.tls_cert, settings.tls_key)
    except CertificateError as error:
        raise StartupError(startup.certificate_problem(settings, error), 2) from None


def read_catalogue(settings: Settings) -> Catalogue:
    """The prices, with the user's own. Raises StartupError, with a line for each fault."""
    try:
        return load_catalogue(settings.own_prices)
    except CatalogueError as error:
        raise StartupError(str(error), 2) from None
    except FileNotFoundError as error:
        raise StartupError(str(error), 1) from None


@contextmanager
def listening_sockets(settings: Settings) -> Generator[list[socket.socket]]:
    """Binds the sockets, with the options that accepted connections inherit."""
    try:
        listeners = addresses.bind(settings.host, settings.port, BACKLOG)
    except OSError as error:
        where = addresses.host_port(settings.host, settings.port)
        todo = addresses.bind_remedy(error)
        raise StartupError(f"cannot listen on {where}: {error.strerror}; {todo}", 2) from None
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
            detect_dead_peer(listener)
        yield listeners


@contextmanager
def locked_data_folder(settings: Settings) -> Generator[None]:
    """Creates the data folder if it is missing, and locks and marks it. Raises StartupError."""
    data = settings.data
    with ExitStack() as held:
        try:
            # 0o700 from the first moment: whoever opens a folder keeps access when permissions change.
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_after_repricing(settings, held)
        except data_dir.DataInUse as other:
            choice = "--data" if other.path == data else "DATABASE_URL"
            what = f"data folder {data}" if other.path == data else f"keys in {other.path}"
            raise StartupError(
                f"another gateway uses the {what}. Stop it, or choose another {choice}", 6
            ) from None
        except OSError as error:
            raise StartupError(
                f"the data folder {data} is not writable: {error.strerror}. Check --data", 2
            ) from None
        mark_data_folder(settings)
        yield


def lock_after_repricing(settings: Settings, held: ExitStack) -> None:
    """Locks the data folder; waits if `prices reprice` has it locked, because a service manager may not retry
    a failed start. Raises DataInUse and OSError."""
    is_told = False
    while True:
        try:
            return held.enter_context(data_dir.lock_data(settings.data, settings.keys_file))
        except data_dir.DataInUse as other:
            if other.holder != data_dir.REPRICING:
                raise
            if not is_told:
                waits = f"gatekeeper: waits for `gatekeeper {other.holder}`, which uses {other.path}\n"
                NonBlockingWriter(sys.stderr.fileno()).write(waits)
            is_told = True
            time.sleep(POLL_INTERVAL)


def mark_data_folder(settings: Settings) -> None:
    """Marks the folder as Google's or the sandbox's. Raises StartupError if it is of the other kind."""
    try:
        problem = startup.data_kind_mismatch(settings)
        if not problem:
            data_dir.write_markers(settings)
    except OSError as error:
        raise StartupError(f"the data in {settings.data} cannot be used: {error}", 2) from None
    if problem:
        raise StartupError(str(problem), problem.status)


async def run(
    settings: Settings,
    catalogue: Catalogue,
    listeners: list[socket.socket],
    certificate: ServerCertificate | None,
) -> None:
    """Serves until a signal, drains, and closes everything in turn. Signals are received to the very end: one
    that arrives while data is written must not interrupt that."""
    terminal = controlling_terminal()
    with trio.open_signal_receiver(*SIGNALS) as received:
        async with open_gateway(settings, catalogue) as gateway, trio.open_nursery() as nursery:
            stop = trio.Event()
            prices = PriceWatch(settings.own_prices, gateway.proxy.context, gateway.audit)
            nursery.start_soon(prices.watch)
            reload = [prices.reload]
            if certificate:
                nursery.start_soon(certificate.watch)
                reload.append(certificate.reload)
            nursery.start_soon(drain, gateway, StopSignals(received, terminal, reload), stop)
            # The sockets listen already: a call right after this message is accepted.
            shown = certificate and certificate.current
            startup.print_startup_message(settings, listeners[0].getsockname(), shown)
            gc.freeze()  # modules, classes, catalogue: they stay, and need not be scanned again
            app, config = Gatekeeper(gateway), server_config()
            async with trio.open_nursery() as servers:
                for listener in listeners:
                    servers.start_soon(
                        serve_listener, app, config, listener, stop, app.inline_app, certificate
                    )
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_gateway(settings: Settings, catalogue: Catalogue) -> AsyncGenerator[Gateway]:
    """Opens the keys, the ledger and the upstream, and runs their tasks; on exit writes and closes all."""
    try:
        async with open_data(settings) as data, trio.open_nursery() as nursery:
            registry, ledger = data.registry, data.ledger
            upstream = await open_upstream(settings, nursery)
            proxy = Proxy(
                ProxyContext(
                    settings,
                    upstream,
                    registry,
                    ledger,
                    catalogue,
                    data.sessions,
                    data.long_decodes,
                    data.free_searches,
                    data.pending,
                    data.owners,
                    data.google_keys.pool,
                )
            )
            data.google_keys.on_change = proxy.context.google_keys_changed
            nursery.start_soon(ledger.run)
            nursery.start_soon(make_checkpoints, data.store)
            nursery.start_soon(poll_repriced_runs, registry, ledger.analytics, settings.data)
            nursery.start_soon(proxy.sweep)
            nursery.start_soon(proxy.charge_deferred)
            nursery.start_soon(check_refused_keys, proxy.context)
            if settings.poll_pending:
                nursery.start_soon(PendingPoller(proxy.context, settings.poll_pending).run)
            yield Gateway(settings, registry, data.audit, data.google_keys, ledger, proxy)
            # After the last call. The ledger is closed last, by `open_data`: it gets the lines of all calls.
            for each in proxy.context.upstreams():
                # Those of running calls are closed by the calls.
                each.close_idle()
            nursery.cancel_scope.cancel()
    except DataUnusable as error:
        raise StartupError(str(error), 2) from None


async def open_upstream(settings: Settings, nursery: trio.Nursery) -> UpstreamPool:
    """Google, or the sandbox on a loopback port of its own."""
    url = settings.upstream
    if settings.sandbox:
        from gatekeeper.sandbox.server import serve_sandbox

        port: int = await nursery.start(serve_sandbox, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}"
    return UpstreamPool(url, connect_timeout=settings.connect_timeout)


def server_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE
    # Hypercorn closes a connection after 1,000 requests, which a busy client may see as a reset.
    config.keep_alive_max_requests = sys.maxsize
    config.h11_max_incomplete_size = MAX_REQUEST_HEAD
    config.include_date_header = False  # a response has the upstream's
    config.include_server_header = False
    config.graceful_timeout = CLOSE_TIMEOUT
    config.logger_class = HypercornLogger  # pyright: ignore[reportAttributeAccessIssue]  it needs the methods only
    return config


async def drain(gateway: Gateway, signals: AsyncIterator[int], stop: trio.Event) -> None:
    """After the first signal new calls are refused, and the open ones may finish. A second signal, or the end
    of the drain timeout, cuts them."""
    await anext(signals)
    log.info("stopping", open_calls=len(gateway.proxy.open_calls))
    gateway.proxy.context.draining = True
    # Event streams have no end of their own, and would use up the drain timeout.
    gateway.ledger.close_streams_and_queries()
    with trio.move_on_after(gateway.settings.drain_timeout):
        await wait_for_calls(gateway, signals)
    # Before the listeners are told: a call's last event goes out while they wait (CLOSE_TIMEOUT).
    gateway.proxy.cut_all()
    stop.set()


async def wait_for_calls(gateway: Gateway, signals: AsyncIterator[int]) -> None:
    """Returns at the end of the last admitted call, or at a signal."""

    async def cancel_at_signal() -> None:
        await anext(signals)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_at_signal)
        while gateway.proxy.has_admitted_calls:  # noqa: ASYNC110  an event would cost each call
            await trio.sleep(POLL_INTERVAL)
        nursery.cancel_scope.cancel()
