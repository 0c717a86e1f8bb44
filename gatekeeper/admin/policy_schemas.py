"""The policies of a key, a group or an end user as schemas: what requests take, and what answers show."""

from __future__ import annotations

from gatekeeper.keys.field_values import MAX_NETWORKS
from gatekeeper.keys.policies import SERVICE_TIERS
from gatekeeper.openapi.schema import Schema, array, boolean, integer, nullable, texts

_SEARCHES = "Searches that a call may make: false for none, or at most so many; null: any."
_STORE = "false: its requests must say `store: false`, so that Google keeps no prompt."
_OUTPUT = "Its requests must name a limit of output tokens of their own, and no larger one; null: need not."
_TIERS = "Service tiers that its requests may ask for; none: all."
_ADDRESSES = "Addresses and networks (CIDR) that its calls may come from; none: all."


def _searches(example: object) -> Schema:
    of_types = {"type": ["boolean", "integer", "null"], "minimum": 0, "maximum": 2**31 - 1}
    return {**of_types, "description": _SEARCHES, "examples": [example]}


POLICY_FIELDS: dict[str, Schema] = {
    "searches": _searches(3),
    "store": nullable(boolean(_STORE, example=False)),
    "max_output_tokens": nullable(integer(_OUTPUT, 8192, minimum=1, maximum=2**63 - 1)),
    "service_tiers": nullable(
        array(
            _TIERS,
            {"type": "string", "enum": list(SERVICE_TIERS)},
            minItems=1,
            examples=[["standard", "flex"]],
        )
    ),
    "allowed_ips": nullable(
        array(
            _ADDRESSES,
            {"type": "string", "pattern": "^[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*(/[0-9]{1,3})?$"},
            minItems=1,
            maxItems=MAX_NETWORKS,
            examples=[["10.0.0.0/8", "2001:db8::/32"]],
        )
    ),
}
"""What each field of a request takes; null resets it to its default."""

POLICY_PROPERTIES: dict[str, Schema] = {
    "searches": _searches(example=False),
    "store": nullable(boolean(_STORE, example=False)),
    "max_output_tokens": nullable(integer(_OUTPUT, 8192)),
    "service_tiers": texts(_TIERS, "standard"),
    "allowed_ips": texts(_ADDRESSES, "10.0.0.0/8"),
}
