"""LiteLLM's parameters and paths that do not exist here, and what to use instead."""

from __future__ import annotations

import re
from typing import NamedTuple

from gatekeeper.keys.litellm_fields import UnsupportedField

_PAGE = "use `limit` and the `cursor` that a page ends with"
_SEARCH = "use `q`, a text of alias, tags, user or group"

LITELLM_PARAMETERS: dict[str, UnsupportedField] = {
    "page": UnsupportedField(_PAGE),
    "size": UnsupportedField("use `limit`"),
    "page_size": UnsupportedField("use `limit`"),
    "team_id": UnsupportedField(_SEARCH),
    "organization_id": UnsupportedField(_SEARCH),
    "project_id": UnsupportedField(_SEARCH),
    "agent_id": UnsupportedField(_SEARCH),
    "access_group_id": UnsupportedField(_SEARCH),
    "user_id": UnsupportedField(_SEARCH),
    "key_alias": UnsupportedField(_SEARCH),
    "search": UnsupportedField(_SEARCH),
    "substring_matching": UnsupportedField("`q` finds parts of texts"),
    "key_hash": UnsupportedField("GET /key/info?key= takes a secret, a `token_id` or an alias"),
    "return_full_object": UnsupportedField("keys are always whole: leave it out", taken=("true",)),
    "include_team_keys": UnsupportedField("all keys are listed: leave it out", taken=("true", "false")),
    "include_created_by_keys": UnsupportedField("all keys are listed: leave it out", taken=("true", "false")),
    "sort_by": UnsupportedField(
        "use `sort`: budget_used, created_at, expires, key_alias, last_used_at or spend"
    ),
    "sort_order": UnsupportedField("use `sort`, with `-` before the name from high to low"),
    "expand": UnsupportedField("there are no related objects: leave it out"),
    "status": UnsupportedField("`blocked` and `expires` of each key say it"),
    "expires": UnsupportedField("`expires` of each key says it; sort=expires lists by it"),
}
"""Parameters of LiteLLM's `/key/list`. Values without effect here are accepted, because its own client sends
them."""


def is_taken(path: str, name: str, value: str) -> bool:
    """Whether this is a parameter of LiteLLM's with a value that has no effect here."""
    parameter = LITELLM_PARAMETERS.get(name)
    return path == "/key/list" and parameter is not None and value.lower() in parameter.taken


class Moved(NamedTuple):
    """LiteLLM's `route`, and what is here instead."""

    route: str
    instead: str


LITELLM_ROUTES = (
    Moved("/key/{key}/regenerate", 'POST /key/regenerate {"key": …}'),
    Moved(
        "/key/{key}/reset_spend",
        "POST /key/update with a higher `max_budget`; spend begins at 0 with each `budget_duration`",
    ),
    Moved("/key/bulk_update", 'POST /key/update {"keys": […], …}'),
    Moved("/key/service-account/generate", "POST /key/generate"),
    Moved("/key/aliases", "GET /key/list"),
    Moved("/key/health", "GET /readyz"),
    Moved("/key/spend/report", "GET /spend?by=key"),
    Moved("/global/spend", "GET /spend: `total`"),
    Moved("/global/spend/keys", "GET /spend?by=key"),
    Moved("/global/spend/tags", "GET /spend?by=tag"),
    Moved("/global/spend/all_tag_names", "GET /spend?by=tag"),
    Moved("/global/spend/models", "GET /spend?by=model"),
    Moved("/global/spend/teams", "GET /spend?by=tag"),
    Moved("/global/spend/end_users", "GET /spend?by=user"),
    Moved("/global/spend/logs", "GET /spend?by=day"),
    Moved("/global/spend/report", "GET /spend?by=day,key"),
    Moved("/global/spend/provider", "GET /spend?by=model"),
    Moved("/global/spend/reset", "spend begins at 0 with each `budget_duration`"),
    Moved("/global/spend/refresh", "spend is current: leave it out"),
    Moved("/global/activity", "GET /spend?by=day"),
    Moved("/global/activity/{by}", "GET /spend?by=day,model"),
    Moved("/spend/keys", "GET /spend?by=key"),
    Moved("/spend/users", "GET /spend?by=user"),
    Moved("/spend/calculate", "POST /prices/quote"),
    Moved("/spend/logs/{version}", "GET /spend/logs, or GET /calls"),
    Moved("/provider/budgets", "GET /spend?by=model"),
    Moved("/team/{action}", "/group/…: a `group` of keys"),
    Moved("/organization/{action}", "a `group` of keys"),
    Moved("/project/{action}", "a `group` of keys"),
    Moved("/budget/{action}", "`max_budget` and `budget_duration` of a key or group"),
    Moved("/customer/{action}", "/user/…: end users, which the header x-gatekeeper-user names"),
    Moved("/end_user/{action}", "/user/…: end users, which the header x-gatekeeper-user names"),
    Moved("/user/new", "/user/…: end users, which the header x-gatekeeper-user names"),
    Moved("/user/daily/activity", "GET /spend?by=day,user"),
    Moved("/tag/{action}", "`tags` of keys and calls, and GET /spend?by=tag"),
    Moved("/model/{action}", "GET /models, GET /prices"),
    Moved("/model_group/info", "GET /models, GET /prices"),
    Moved("/health", "GET /healthz, GET /readyz"),
    Moved("/health/{probe}", "GET /healthz, GET /readyz"),
)
"""The order matters: the first that matches a path is used."""


def _pattern(route: str) -> re.Pattern[str]:
    # A key may contain slashes.
    plain = re.escape(route).replace(r"\{key\}", ".+")
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", plain))


_PATTERNS = [(_pattern(moved.route), moved) for moved in LITELLM_ROUTES]


def moved_route(path: str) -> Moved | None:
    """The route of LiteLLM's that a path matches, if it does not exist here; else None."""
    return next((moved for pattern, moved in _PATTERNS if pattern.fullmatch(path)), None)
