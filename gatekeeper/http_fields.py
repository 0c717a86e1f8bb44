"""Header fields of HTTP messages."""

Headers = list[tuple[bytes, bytes]]
"""Names and values in their order; a name may occur more than once."""
