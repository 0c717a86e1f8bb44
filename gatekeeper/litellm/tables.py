"""The tables of LiteLLM's database that an import reads (release 1.110, and those before it), in the form
that PostgreSQL's `COPY … TO … (FORMAT csv, HEADER)` gives them: so the same code reads a database and
exported files. NULL and an empty text are both an empty cell. Columns that a release of LiteLLM lacks count
as NULL.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import NamedTuple, cast

DASHBOARD = "litellm-dashboard"
"""The team of the keys that LiteLLM's pages make for whoever logs in."""
PROXY_BUDGET = "litellm-proxy-budget"
"""The internal user whose row is the budget of the whole proxy."""

TABLES: dict[str, tuple[str, ...]] = {
    "LiteLLM_VerificationToken": ("token", "key_alias", "spend", "models", "metadata"),
    "LiteLLM_TeamTable": ("team_id", "team_alias", "models", "metadata"),
    "LiteLLM_EndUserTable": ("user_id", "budget_id", "blocked"),
    "LiteLLM_BudgetTable": ("budget_id", "max_budget"),
    "LiteLLM_UserTable": ("user_id", "max_budget"),
    "LiteLLM_OrganizationTable": ("organization_id", "budget_id"),
    "LiteLLM_ProjectTable": ("project_id", "budget_id"),
    "LiteLLM_TeamMembership": ("user_id", "team_id", "budget_id"),
    "LiteLLM_TagTable": ("tag_name", "budget_id"),
    "LiteLLM_DeprecatedVerificationToken": ("token", "active_token_id", "revoke_at"),
}
"""Each with the columns that every release has."""
KEYS = "LiteLLM_VerificationToken"

FLAGS = {"t": True, "true": True, "f": False, "false": False}
# Elements of an array: quoted, in which a backslash escapes any character, or bare.
SPACE = " \t\n\r\v\f"  # what PostgreSQL skips, and quotes
ELEMENT = re.compile(rf'"((?:[^"\\]|\\.)*)"|([^,{{}}"\\{SPACE}][^,{{}}"\\]*)', re.DOTALL)
CELL_LENGTH = 16 * 1024 * 1024  # characters; csv's own limit is 128 KiB
TRILLIONTH = Decimal(1).scaleb(-12)
EXACT = Context(prec=60)


class TableError(ValueError):
    """A table cannot be read. The message names it, and never repeats a cell that may be a secret."""


class Row:
    """One row. Its methods read a cell by the name of its column, None if it is empty, and raise TableError
    for one that is not what they return."""

    def __init__(self, table: str, number: int, cells: Mapping[str, str]) -> None:
        self.table = table
        self.number = number
        self._cells = cells

    def text(self, column: str) -> str | None:
        return self._cells.get(column) or None

    def whole(self, column: str) -> int | None:
        text = self.text(column)
        try:
            return None if text is None else int(text)
        except ValueError:
            raise self._error(column, "a whole number") from None

    def amount(self, column: str) -> str | None:
        """As `rounded_dollars` writes it."""
        text = self.text(column)
        try:
            return None if text is None else rounded_dollars(text)
        except InvalidOperation:
            raise self._error(column, "an amount") from None

    def flag(self, column: str) -> bool:
        """Whether it is true; NULL is not."""
        text = self.text(column)
        if text is not None and text.lower() not in FLAGS:
            raise self._error(column, "true or false")
        return text is not None and FLAGS[text.lower()]

    def time(self, column: str) -> datetime | None:
        """A time without a zone is in UTC, in which LiteLLM stores them."""
        text = self.text(column)
        try:
            moment = None if text is None else datetime.fromisoformat(text)
        except ValueError:
            raise self._error(column, "a time") from None
        return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment

    def names(self, column: str) -> list[str]:
        """An array of texts: `{a,"b c"}`; JSON's form, which other tools export, as well."""
        text = (self.text(column) or "{}").strip(SPACE)
        if text.startswith("["):
            return [str(item) for item in cast("list[object]", self._json(column, list))]
        inner = text.removeprefix("{").removesuffix("}")
        if not (text.startswith("{") and text.endswith("}")) or ELEMENT.sub("", inner).strip("," + SPACE):
            raise self._error(column, "an array")
        return [
            bare or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            for quoted, bare in ELEMENT.findall(inner)
            if bare != "NULL"
        ]

    def document(self, column: str) -> dict[str, object]:
        """A JSON object; null is an empty one."""
        return cast("dict[str, object]", self._json(column, dict))

    def documents(self, column: str) -> list[object]:
        """A JSON list; null is an empty one."""
        return cast("list[object]", self._json(column, list))

    def _json(self, column: str, kind: type) -> object:
        text = self.text(column)
        try:
            value = json.loads(text) if text else None
        except ValueError:
            raise self._error(column, "JSON") from None
        # LiteLLM has stored JSON as a text of JSON.
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise self._error(column, "JSON") from None
        return value if isinstance(value, kind) else kind()

    def _error(self, column: str, what: str) -> TableError:
        return TableError(f"{self.table}, row {self.number}: the column {column} is not {what}")


def rounded_dollars(text: str) -> str | None:
    """An amount as a decimal with at most 12 places: LiteLLM adds up binary floats, so that more of them are
    noise. None for infinity, which limits nothing. Raises InvalidOperation."""
    value = Decimal(text)
    if value == Decimal("Infinity"):
        return None
    if not value.is_finite():
        raise InvalidOperation
    return f"{value.quantize(TRILLIONTH, context=EXACT).normalize():f}"


def read_rows(table: str, text: str, needed: tuple[str, ...]) -> list[Row]:
    """The rows of one table, which must have the `needed` columns. Raises TableError."""
    # A setting of the whole module; csv has none for one reader.
    csv.field_size_limit(CELL_LENGTH)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = rows.fieldnames or ()
        if missing := [name for name in needed if name not in columns]:
            raise TableError(
                f"{table} has no column {missing[0]}: export the whole table, with the names of its columns "
                "in the first line (csv header)"
            )
        found: list[Row] = []
        for number, cells in enumerate(rows, start=1):
            # csv's own mark of cells beyond the columns, and of missing ones.
            if None in cells or None in cells.values():
                raise TableError(f"{table}, row {number}: it has not as many cells as the first line")
            found.append(Row(table, number, cells))
    except csv.Error as error:
        raise TableError(f"{table} is no CSV: {error}") from None
    return found


class Tables(NamedTuple):
    """Their rows, by what identifies one. `given` are the names of the tables that there are."""

    given: frozenset[str]
    keys: list[Row]
    teams: dict[str, Row]
    end_users: dict[str, Row]
    budgets: dict[str, Row]
    users: dict[str, Row]
    organizations: dict[str, Row]
    projects: dict[str, Row]
    members: dict[str, Row]
    tags: dict[str, Row]
    rotated: list[Row]

    def find(self, rows: Mapping[str, Row], name: str | None, table: str) -> Row | None:
        """What a row refers to by this name. Raises TableError if its table was not given: what it limits
        would be left out unseen."""
        if name is None:
            return None
        if table not in self.given:
            raise TableError(f"rows refer to {table}, which is not there: export it, too")
        return rows.get(name)

    def budget(self, row: Row) -> Row | None:
        """The row of LiteLLM_BudgetTable that this one refers to."""
        return self.find(self.budgets, row.text("budget_id"), "LiteLLM_BudgetTable")

    def membership(self, user: str | None, team: str | None) -> Row | None:
        """What limits this internal user in this team, if there is a row of it. Raises TableError."""
        name = user and team and f"{user}\n{team}"
        return self.find(self.members, name or None, "LiteLLM_TeamMembership")


def read_tables(texts: Mapping[str, str]) -> Tables:
    """Of CSV texts by the table's name. Raises TableError."""
    if KEYS not in texts:
        raise TableError(f"there is no table {KEYS}: it has the keys")
    rows = {
        name: read_rows(name, texts[name], needed) if name in texts else [] for name, needed in TABLES.items()
    }

    def by(table: str, *columns: str) -> dict[str, Row]:
        return {"\n".join(row.text(column) or "" for column in columns): row for row in rows[table]}

    return Tables(
        frozenset(texts),
        rows[KEYS],
        by("LiteLLM_TeamTable", "team_id"),
        by("LiteLLM_EndUserTable", "user_id"),
        by("LiteLLM_BudgetTable", "budget_id"),
        by("LiteLLM_UserTable", "user_id"),
        by("LiteLLM_OrganizationTable", "organization_id"),
        by("LiteLLM_ProjectTable", "project_id"),
        by("LiteLLM_TeamMembership", "user_id", "team_id"),
        by("LiteLLM_TagTable", "tag_name"),
        rows["LiteLLM_DeprecatedVerificationToken"],
    )
