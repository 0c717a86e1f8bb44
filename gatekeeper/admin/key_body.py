"""The fields of a key in the body of a request."""

from __future__ import annotations

from gatekeeper.admin.gateway import current_gateway
from gatekeeper.admin.requests import Document
from gatekeeper.admin.team import name_group
from gatekeeper.keys.fields import FieldError, KeyFields, parse_fields
from gatekeeper.keys.secrets import matches_master


def parse_key(body: Document, now: int, *, update: bool = False) -> KeyFields:
    """Those of a new key, or for an `update` those that it changes. Raises FieldError."""
    name_group(body)
    fields = parse_fields(body, now=now, update=update)
    master = current_gateway().settings.master_key
    for field, text in (("key", fields.secret), ("key_alias", fields.changes.get("key_alias"))):
        # Calls with it are the master key's, whatever limits the key was given; and an alias is no secret.
        if master and isinstance(text, str) and matches_master(text, master):
            raise FieldError(field, None, "choose another", f"This `{field}` is the gateway's master key")
    return fields
