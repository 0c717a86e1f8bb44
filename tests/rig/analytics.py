"""The analytics file with the questions to it, in one thread: no worker, no journal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from gatekeeper.ledger.analytics import call_pages, queries
from gatekeeper.ledger.analytics.projection import Projection
from gatekeeper.ledger.filters import Filter


class Analytics(Projection):
    def __init__(self, folder: Path, timezone: str = "UTC", memory: str = "512MB") -> None:
        super().__init__(folder, memory)
        self.sums = queries.Sums(timezone)

    def calls(
        self,
        wanted: Filter | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        sort: str = "-started",
    ) -> list[Any]:
        order = call_pages.parse_order(sort)
        with self.query_connection() as con:
            wanted = (wanted or Filter()).in_period(since, until)
            return call_pages.page_of_calls(con, wanted, limit, cursor, order)

    def call(self, call_id: str) -> Any:
        with self.query_connection() as con:
            return queries.call(con, call_id)

    def spend(
        self,
        by: list[str],
        wanted: Filter | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 1000,
        top: int | None = None,
    ) -> Any:
        with self.query_connection() as con:
            where = (wanted or Filter()).in_period(since, until).to_sql()
            return self.sums.report(con, by, where, limit, top)

    def models(self) -> list[Any]:
        with self.query_connection() as con:
            return queries.models(con)
