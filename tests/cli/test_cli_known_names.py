"""Names of keys, groups and end users that nothing has: the error suggests the one that was meant."""

from __future__ import annotations

from typing import Any

from rig.cases import cases

KEYS = {
    "keys": [{"token_id": "1", "key_alias": "web-frontend"}, {"token_id": "2", "key_alias": "nightly-eval"}]
}
NAMED = {
    "GET /key/list": KEYS,
    "GET /group/list": {"groups": [{"group": "shop"}]},
    "GET /user/list": {"users": [{"user_id": "alice"}]},
}
NOT_FOUND = (404, {"detail": "there is none of that name"})


@cases(
    ("args", "path", "question"),
    [
        (["keys", "show", "web-fronted"], "GET /key/info", "Did you mean web-frontend?"),
        (["keys", "edit", "WEB-FRONTED", "--rpm", "5"], "POST /key/update", "Did you mean web-frontend?"),
        (["keys", "rotate", "nightly"], "POST /key/regenerate", "Did you mean nightly-eval?"),
        (["keys", "rotate", "nightly", "--end-grace"], "POST /key/end_grace", "Did you mean nightly-eval?"),
        (["keys", "block", "web-frontend", "nightli-eval"], "POST /key/block", "Did you mean nightly-eval?"),
        (["keys", "unblock", "webfrontend"], "POST /key/unblock", "Did you mean web-frontend?"),
        (["keys", "delete", "webfrontend"], "GET /key/info", "Did you mean web-frontend?"),
        (["keys", "explain", "webfrontend"], "POST /key/explain", "Did you mean web-frontend?"),
        (["keys", "show", "sk-0123456789abcdef"], "GET /key/info", ""),
        (["groups", "show", "shp"], "GET /group/info", "Did you mean shop?"),
        (["users", "block", "alcie"], "POST /user/block", "Did you mean alice?"),
    ],
)
def test_the_nearest_name_is_suggested(
    on: Any, gateway: Any, args: list[str], path: str, question: str
) -> None:
    gateway.answers = {**NAMED, path: NOT_FOUND}
    ended = on(*args)
    assert (ended.status, ended.out) == (5, "")
    assert ended.err == f"gatekeeper: there is none of that name.{' ' if question else ''}{question}\n"
    assert "sk-" not in ended.err


def test_names_that_may_not_be_read_suggest_nothing(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/info": NOT_FOUND, "GET /key/list": (403, {"detail": "not yours"})}
    assert on("keys", "show", "web-fronted").err == "gatekeeper: there is none of that name.\n"


def test_other_errors_ask_for_no_names(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/info": (409, {"detail": "two keys have it"})}
    assert on("keys", "show", "web-fronted").status == 6
    assert [asked.path for asked in gateway.asked] == ["/key/info"]
