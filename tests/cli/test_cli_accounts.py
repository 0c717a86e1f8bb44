"""`gatekeeper groups` and `gatekeeper users`: what is asked, and what is shown."""

from __future__ import annotations

import pytest

SHOP = {
    "blocked": False,
    "models": ["gemini-2.5*"],
    "max_budget": "20.000000000000",
    "budget_duration": "1mo",
    "spend": "5.000000000000",
    "rpm_limit": 60,
    "metadata": {},
}
both = pytest.mark.parametrize(
    ("noun", "field", "extra"), [("group", "group", {"keys": 3}), ("user", "user_id", {})]
)


@both
def test_changes_are_asked_for_by_name(on, gateway, noun, field, extra):
    document, limits = {field: "shop", **extra, **SHOP}, {"tpm_limit": 5, "rpm_limit": None}
    for words, verb, sent, done in (
        (["create", "shop", "--max-budget", "20"], "generate", {"max_budget": "20"}, "created"),
        (["edit", "shop", "--tpm", "5", "--unset", "rpm"], "update", limits, "changed"),
        (["block", "shop"], "block", {}, "blocked"),
        (["unblock", "shop"], "unblock", {}, "unblocked"),
        (["delete", "shop", "--yes"], "delete", {}, "deleted"),
    ):  # fmt: skip
        gateway.answers = {f"POST /{noun}/{verb}": document}
        ended = on(f"{noun}s", *words)
        assert (ended.status, ended.out) == (0, f"{done} shop\n")
        assert gateway.asked[-1].body == {field: "shop", **sent}


def test_a_group_is_deleted_by_force_and_only_when_confirmed(on, gateway):
    gateway.answers = {"POST /group/delete": {"deleted": "shop"}}
    assert on("groups", "delete", "shop", typed="n\n").status == 6
    assert not gateway.asked
    assert on("groups", "delete", "shop", "--force", typed="y\n").out == "deleted shop\n"
    assert gateway.asked[0].body == {"group": "shop", "force": True}


@both
def test_they_are_listed_and_shown(on, gateway, noun, field, extra):
    document = {field: "shop", **extra, **SHOP}
    gateway.answers = {
        f"GET /{noun}/list": {f"{noun}s": [document], "next_cursor": "shop"},
        f"GET /{noun}/info": document,
    }
    ended = on(f"{noun}s", "list", "--query", "sh")
    head, row = ended.out.splitlines()
    assert head.split() == ["name", "keys", "spend", "rate", "state"]
    cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert cells == ["shop", str(extra.get("keys", "–")), "$5.00 of $20/1mo", "60/min", "● active"]
    assert ended.err == "There are more: --cursor shop\n"
    shown = on(f"{noun}s", "show", "shop").out
    assert "name    shop" in shown
    assert "$5.00 of $20 each 1mo" in shown
    assert on(f"{noun}s", "show", "shop", "--json").document == document


@both
@pytest.mark.parametrize(
    "words",
    [["edit", "shop"], ["edit", "shop", "--rpm", "1", "--unset", "rpm"], ["create", "shop", "--rpm", ""]],
)
def test_what_is_not_asked_for(on, gateway, noun, field, extra, words):
    assert (on(f"{noun}s", *words).status, gateway.asked) == (2, [])
