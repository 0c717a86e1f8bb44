"""Tables of LiteLLM's: recorded ones, and small ones for a case."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gatekeeper.litellm.tables import TABLES, Tables, read_tables

RECORDED = Path(__file__).parent / "recorded"
"""Made by LiteLLM 1.110.2's own code for keys (`generate_key_helper_fn`) in the tables of its migrations, and
exported by PostgreSQL 15's `\\copy "LiteLLM_…" to … csv header`. The secrets are `SECRETS`; the tables of
teams, budgets and users, and times that had to lie ahead, were written by hand."""

SECRETS = {
    "web-frontend": "sk-web-frontend-secret-0001",
    "nightly-eval": "sk-nightly-eval-secret-0002",
    "gpt-only": "sk-gpt-only-secret-0003",
    "mixed": "sk-mixed-secret-0004",
    "guarded": "sk-guarded-secret-0005",
    "old": "sk-old-secret-0008",
    "dev": "sk-dev-secret-0009",
}
SHORT = {
    "keys": "LiteLLM_VerificationToken", "teams": "LiteLLM_TeamTable", "end_users": "LiteLLM_EndUserTable",
    "budgets": "LiteLLM_BudgetTable", "users": "LiteLLM_UserTable", "projects": "LiteLLM_ProjectTable",
    "organizations": "LiteLLM_OrganizationTable", "members": "LiteLLM_TeamMembership",
    "tags": "LiteLLM_TagTable",
}  # fmt: skip


def recorded_texts() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in RECORDED.glob("*.csv")}


def text_of(table: str, rows: list[dict[str, str]]) -> str:
    """A CSV text of these rows, with the columns that the table must have."""
    columns = list(dict.fromkeys([*TABLES[table], *(name for row in rows for name in row)]))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def tables_of(**given: list[dict[str, str]]) -> Tables:
    """Every table is there; those not given have no rows."""
    return read_tables({table: text_of(table, given.get(name, [])) for name, table in SHORT.items()})


def key_row(**cells: str) -> dict[str, str]:
    return {
        "token": "0" * 64,
        "key_name": "sk-...wxyz",
        "spend": "0",
        "models": "{}",
        "metadata": "{}",
        **cells,
    }
