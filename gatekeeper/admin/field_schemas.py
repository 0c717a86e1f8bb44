"""The schemas of the fields of a key, a group and an end user: in requests, for each field of
`keys.fields.FIELDS` (`FIELD_SCHEMAS`), and in responses (`KEY_PROPERTIES`)."""

from __future__ import annotations

from gatekeeper.keys.field_values import (
    ALIAS_LENGTH,
    GLOB_LENGTH,
    GLOBS,
    MAX_DOLLARS,
    MAX_NETWORKS,
    TAG_LENGTH,
    TAGS,
)
from gatekeeper.keys.limits import OnDisconnect, Share
from gatekeeper.keys.policies import SERVICE_TIERS
from gatekeeper.keys.secrets import MIN_SECRET_LENGTH
from gatekeeper.keys.virtual_key import Role
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    choice,
    integer,
    mapping,
    money,
    nullable,
    text,
    texts,
    time,
)

_DURATION = r"^[0-9]{1,12}(\.[0-9]{1,12})?(s|m|h|d|w|mo)$"
_PRINTABLE = r"\S"
_GIVEN_AMOUNT: Schema = {
    "type": ["number", "string"],
    "minimum": 0,
    "maximum": MAX_DOLLARS,
    "pattern": r"^[0-9]{1,13}(\.[0-9]{1,12})?$",
}
"""USD, as a number or, exactly, as a string."""

_SEARCHES = "Searches that a call may make: false for none, or a maximum; null: any number."
_STORE = "false: its requests must have `store: false`, so that Google does not store prompts."
_OUTPUT = "Its requests must set a limit of output tokens, at most this; null: they need not."
_TIERS = "Service tiers that its requests may use; none: all."
_ADDRESSES = "Addresses and networks (CIDR) that its calls may come from; none: all."


def _searches(example: object) -> Schema:
    of_types = {"type": ["boolean", "integer", "null"], "minimum": 0, "maximum": 2**31 - 1}
    return {**of_types, "description": _SEARCHES, "examples": [example]}


_POLICY_FIELDS: dict[str, Schema] = {
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

_POLICY_PROPERTIES: dict[str, Schema] = {
    "searches": _searches(example=False),
    "store": nullable(boolean(_STORE, example=False)),
    "max_output_tokens": nullable(integer(_OUTPUT, 8192)),
    "service_tiers": texts(_TIERS, "standard"),
    "allowed_ips": texts(_ADDRESSES, "10.0.0.0/8"),
}


def budget_field(meaning: str, example: str) -> Schema:
    return {**nullable(_GIVEN_AMOUNT), "description": meaning, "examples": [example]}


def name_field(meaning: str, example: str) -> Schema:
    return nullable(text(meaning, example, pattern=_PRINTABLE, maxLength=ALIAS_LENGTH))


def names_field(meaning: str, *examples: str, most: int = GLOBS, length: int = GLOB_LENGTH) -> Schema:
    name: Schema = {"type": "string", "pattern": _PRINTABLE, "maxLength": length}
    return nullable(array(meaning, name, examples=[list(examples)], maxItems=most))


def count_field(meaning: str, example: int) -> Schema:
    return nullable(integer(meaning, example, minimum=1, maximum=2**63 - 1))


COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
COUNTS = {"gemini-2.5-pro*": 60}


def counts_field(meaning: str) -> Schema:
    return nullable(mapping(meaning, COUNT, COUNTS))


SHOWN_AMOUNT: Schema = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{12}$"}


def amounts_field(meaning: str) -> Schema:
    return nullable(mapping(meaning, _GIVEN_AMOUNT, {"gemini-2.5-pro*": "10"}))


def duration_field(meaning: str, example: str) -> Schema:
    return nullable(text(meaning, example, pattern=_DURATION))


def flag_field(meaning: str, *, example: bool = False) -> Schema:
    return nullable(boolean(meaning, example=example))


FIELD_SCHEMAS: dict[str, Schema] = {
    "key_alias": name_field("A unique name; must not look like an id or a secret.", "web-frontend"),
    "duration": duration_field("Time from now until it expires.", "30d"),
    "models": names_field(
        "Models that it may use, or globs of their ids; none: any.", "gemini-2.5*", "gemini-embedding-001"
    ),
    "max_budget": budget_field("Budget in USD; null: none.", "50"),
    "soft_budget": budget_field("A budget in USD that only warns; null: none.", "40"),
    "model_max_budget": amounts_field("Budgets in USD of some of its models, by model or glob of models."),
    "budget_duration": duration_field("Period after which `spend` is reset to 0; null: never.", "30d"),
    "tpm_limit": count_field("Tokens a minute.", 1_000_000),
    "rpm_limit": count_field("Calls a minute.", 600),
    "model_rpm_limit": counts_field("Calls a minute, by model or glob of models."),
    "model_tpm_limit": counts_field("Tokens a minute, by model or glob of models."),
    "max_parallel_requests": count_field("Calls at the same time.", 20),
    "tags": names_field("Tags of all its calls.", "checkout", most=TAGS, length=TAG_LENGTH),
    "metadata": nullable(mapping("A JSON object of your own.", {}, {"team": "shop"})),
    "user_id": name_field("Default end user of its calls.", "user-17"),
    "allowed_routes": names_field(
        "Actions that it may call, or globs of paths after /gemini; none: any.",
        "generateContent",
        "/v1beta/models/*",
    ),
    "blocked": flag_field("Whether its calls are refused."),
    "key": nullable(
        text(
            "A secret of your own; without it the gateway generates one.",
            "a-secret-of-your-own-choice",
            pattern=f"^[!-~]{{{MIN_SECRET_LENGTH},}}$",
        )
    ),
    "group": name_field("Group that it belongs to.", "shop"),
    "on_disconnect": nullable(
        choice(
            "When a client disconnects: `cancel` the call, or `finish` it for the exact cost.", OnDisconnect
        )
    ),
    "share": nullable(
        choice(
            "Which other keys may access its resources (files, caches …): its `group` or `all`; null: none.",
            Share,
        )
    ),
    "allow_unpriced": flag_field(
        "With a budget: allows models without a price; each call is charged an upper bound."
    ),
    **_POLICY_FIELDS,
    "role": nullable(
        choice("What it may do at this API; null: read its own data. Only an admin may set it.", Role)
    ),
}
"""What each field of a request takes; null resets it to its default."""

KEY_PROPERTIES: dict[str, Schema] = {
    "token_id": text("Its id, which does not change with its secret.", "key_0123456789abcdef"),
    "key_name": text("The masked secret.", "sk-...wxyz"),
    "previous_key_name": nullable(text("The masked secret before the last rotation.", "sk-...abcd")),
    "previous_expires": nullable(time("Until when that one is valid.")),
    "previous_used_at": nullable(time("When that one was last used since the start of the gateway.")),
    "key_alias": nullable(text("Its unique name.", "web-frontend")),
    "expires": nullable(time("When it expires; null: never.")),
    "blocked": boolean("Whether its calls are refused.", example=False),
    "models": texts("Models that it may use, or globs; none: any.", "gemini-2.5*"),
    "max_budget": nullable(money("Its budget in", "50.000000000000")),
    "soft_budget": nullable(money("A budget that only warns, in", "40.000000000000")),
    "model_max_budget": mapping(
        "Budgets in USD of some models, by model or glob.",
        SHOWN_AMOUNT,
        {"gemini-2.5-pro*": "10.000000000000"},
    ),
    "budget_duration": nullable(text("Period after which `spend` is reset to 0.", "30d")),
    "budget_reset_at": nullable(time("When its budget's period ends.")),
    "spend": money("The cost of its calls in this period, in", "1.204500000000"),
    "spend_estimated": money("The upper bounds of unknown costs in `spend`, in", "0.000000000000"),
    "tpm_limit": nullable(integer("Tokens a minute.", 1_000_000)),
    "rpm_limit": nullable(integer("Calls a minute.", 600)),
    "model_rpm_limit": mapping("Calls a minute, by model or glob of models.", COUNT, COUNTS),
    "model_tpm_limit": mapping("Tokens a minute, by model or glob of models.", COUNT, COUNTS),
    "max_parallel_requests": nullable(integer("Calls at the same time.", 20)),
    "tags": texts("Tags of all its calls.", "checkout"),
    "metadata": mapping("The JSON object given.", {}, {"team": "shop"}),
    "user_id": nullable(text("Default end user of its calls.", "user-17")),
    "group": nullable(text("Group that it belongs to.", "shop")),
    "allowed_routes": texts("Actions that it may call, or globs of paths; none: any.", "generateContent"),
    "on_disconnect": nullable(choice("What happens when a client disconnects.", OnDisconnect)),
    "share": nullable(choice("Which other keys may access its resources; null: none.", Share)),
    "allow_unpriced": boolean("Whether models without a price may be used.", example=False),
    **_POLICY_PROPERTIES,
    "role": nullable(choice("What it may do at this API; null: read its own data.", Role)),
    "created_at": time("When it was created."),
    "updated_at": time("When it was last changed."),
    "last_used_at": nullable(time("When its last call ended.")),
}
