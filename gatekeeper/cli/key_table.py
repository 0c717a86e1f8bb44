"""The table of keys."""

from __future__ import annotations

from gatekeeper.cli.table_layout import FIRST_TO_GO, TableColumn
from gatekeeper.client import formats
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import local_now
from gatekeeper.client.key_text import (
    bar_cell,
    budget_cell,
    key_state,
    key_tags_cell,
    models_cell,
    name_cell,
    rate_cell,
    secret_cell,
)
from gatekeeper.client.key_types import Key

BAR_WIDTH = 12


def used_cell(key: Key) -> Cell:
    return formats.ago(key.last_used_at, local_now()), TextRole.PLAIN


def state_cell(key: Key) -> Cell:
    state = key_state(key, local_now())
    # A role is what makes a key dangerous to lose.
    return (f"{state}, {key.role}" if key.role else str(state)), state.role


KEYS: tuple[Column[Key], ...] = (
    TableColumn("key", 20, name_cell),
    TableColumn("secret", 0, secret_cell, drop=2),
    TableColumn("models", 8, models_cell, drop=5),
    TableColumn("tags", 8, key_tags_cell, drop=3),
    TableColumn("spend", 0, budget_cell),
    TableColumn("", 0, lambda key: bar_cell(key, BAR_WIDTH), drop=FIRST_TO_GO, name="bars"),
    TableColumn("rate", 0, rate_cell, drop=4),
    TableColumn("last used", 0, used_cell, drop=6),
    TableColumn("state", 0, state_cell),
)
