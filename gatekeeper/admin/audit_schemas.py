"""The documents of the audit log as schemas."""

from __future__ import annotations

from gatekeeper.admin.key_schemas import NEXT_CURSOR
from gatekeeper.keys.virtual_key import Role
from gatekeeper.openapi.operation import Operation
from gatekeeper.openapi.schema import (
    array,
    choice,
    component,
    integer,
    mapping,
    members,
    nullable,
    text,
    time,
)

AUDIT_CHANGE = component(
    "AuditChange",
    members(
        "Who changed what, from where, when, from what to what.",
        {
            "id": integer("Grows with each change.", 17),
            "at": time("When."),
            "by": text(
                "Who: the id of a key, `master`, `open` in open mode, or `gateway` by itself.", "master"
            ),
            "by_alias": nullable(text("The alias of that key.", "ann")),
            "role": nullable(choice("The role that was used.", Role)),
            "address": nullable(text("The client's address.", "203.0.113.9")),
            "action": text("What was done.", "update"),
            "token_id": nullable(text("The changed key.", "key_0123456789abcdef")),
            "key_alias": nullable(text("Its alias after the change.", "web-frontend")),
            "target": nullable(text("What was changed, if it is no key.", "gatekeeper.duckdb")),
            "detail": mapping(
                "The fields that changed, each from what to what; of a deletion what was deleted.",
                {},
                {"rpm_limit": {"from": None, "to": 600}},
            ),
        },
    ),
)
AUDIT_PAGE = component(
    "AuditPage",
    members(
        "A page of changes, newest first.",
        {"changes": array("The changes.", AUDIT_CHANGE), "next_cursor": NEXT_CURSOR},
    ),
)
AUDIT = Operation(
    "List changes",
    AUDIT_PAGE,
    query=("action", "key", "by", "since", "until", "limit", "cursor"),
    problems=(503,),
)
