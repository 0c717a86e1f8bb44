"""Values of a request's fields that several routes take. A field that is null counts as absent."""

from __future__ import annotations

from gatekeeper.admin.problems import invalid
from gatekeeper.ledger.call import Document


def read_text(fields: Document, name: str) -> str | None:
    """Raises Problem for what is no text, or an empty one."""
    value = fields.get(name)
    if value is not None and not (isinstance(value, str) and value and value.isprintable()):
        raise invalid(name, f"`{name}` is not a text", "a text of printable characters, or null")
    return value


def read_count(fields: Document, name: str, most: int) -> int | None:
    """Raises Problem for what is no whole number from 0 to `most`."""
    value = fields.get(name)
    # In Python, JSON's true is an int.
    if value is not None and (
        not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most
    ):
        raise invalid(name, f"`{name}` is a whole number from 0 to {most}", f"0 to {most}")
    return value
