"""The tables of LiteLLM's database that an import reads (release 1.110, and those before it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gatekeeper.litellm.cells import Row, TableError, read_rows

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
