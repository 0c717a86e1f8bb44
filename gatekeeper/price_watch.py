"""The prices of a running gateway: read again when the user's own file changes, and at SIGHUP."""

from __future__ import annotations

from typing import Protocol

import trio

from gatekeeper.keys.audit import AuditLog, Change
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.logs import log
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_faults import CatalogueError
from gatekeeper.runtime import file_state, now_micros
from gatekeeper.settings import OwnPrices
from gatekeeper.startup import load_catalogue

CHECK_SECONDS = 1.0  # seconds between two checks of the file


class PriceHolder(Protocol):
    """An object that holds the current prices, and why a newer file is not in use."""

    catalogue: Catalogue
    price_faults: tuple[str, ...]


class PriceWatch:
    """Keeps the prices of `context` up to date with the user's own file, which overrides the built-in ones. A
    file with errors leaves the last good prices in force."""

    def __init__(self, own: OwnPrices, context: PriceHolder, audit: AuditLog) -> None:
        self._own = own
        self._context = context
        self._audit = audit
        # As if there were no file: one that changes while the gateway starts is not missed.
        self._loaded: object = None
        self._asked = trio.Event()

    def reload(self) -> None:
        """Makes `watch` read the file again at once."""
        self._asked.set()

    async def watch(self) -> None:
        """Reads the file again when it has changed, or when asked to."""
        while True:
            with trio.move_on_after(CHECK_SECONDS):
                await self._asked.wait()
            if self._asked.is_set():
                self._asked = trio.Event()
                await self._load()
            elif (seen := file_state(self._own.file)) != self._loaded:
                # It may still be written: only one that stays is read.
                await trio.sleep(CHECK_SECONDS)
                if seen == file_state(self._own.file):
                    await self._load()

    async def _load(self) -> None:
        context = self._context
        # Before it is read: a change in between is seen the next time.
        self._loaded = file_state(self._own.file)
        try:
            # In a thread: a large file takes longer than a call may wait.
            catalogue = await trio.to_thread.run_sync(load_catalogue, self._own)
        except (CatalogueError, OSError) as error:
            first, *more = context.price_faults = tuple(str(error).splitlines())
            log.error(
                "prices_not_reloaded", detail=first, more_faults=len(more), in_force=context.catalogue.version
            )
            return
        context.price_faults = ()
        before, context.catalogue = context.catalogue.version, catalogue
        if catalogue.version != before:
            log.info("prices_reloaded", version=catalogue.version, before=before)
            await self._record(before, catalogue.version)

    async def _record(self, before: str, version: str) -> None:
        detail: dict[str, object] = {"price_version": {"from": before, "to": version}}
        change = Change.of("prices.reload", now_micros(), "gateway", detail, target=self._own.file.name)
        try:
            await self._audit.append(change)
        except StoreFailed as error:
            # They are in force, whatever the log says.
            log.error("change_not_in_audit_log", action=change.action, detail=str(error))
