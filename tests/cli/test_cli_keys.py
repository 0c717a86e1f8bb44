"""`gatekeeper keys`: what is sent, what is shown, and when a secret is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.cli.key_fields import KEY_FIELDS
from gatekeeper.keys.listing import SORTS

SECRET = "sk-abcdefghijklmnopqrstuvwxyz"
KEY = {
    "token_id": "key_1",
    "key_name": "sk-...wxyz",
    "key_alias": "ci",
    "expires": "2099-01-31T00:00:00Z",
    "blocked": False,
    "models": ["gemini-2.5*"],
    "max_budget": "20.000000000000",
    "soft_budget": "15.5",
    "budget_duration": "30d",
    "budget_reset_at": "2099-01-01T12:30:00Z",
    "spend": "5.000000000000",
    "spend_estimated": "0.500000000000",
    "tpm_limit": 100000,
    "rpm_limit": 60,
    "model_rpm_limit": {"*-pro": 5},
    "max_parallel_requests": 4,
    "tags": ["team-a", "x\u001b[31m"],
    "metadata": {"owner": "me"},
    "user_id": "u1",
    "group": "g1",
    "allowed_routes": ["generateContent"],
    "on_disconnect": "cancel",
    "share": "group",
    "allow_unpriced": True,
    "searches": False,
    "store": False,
    "max_output_tokens": 8192,
    "service_tiers": ["standard", "flex"],
    "allowed_ips": ["10.0.0.0/8"],
    "role": "viewer",
    "created_at": "2026-11-01T08:00:00Z",
    "last_used_at": None,
}
PLAIN = {"token_id": "key_2", "key_name": "sk-...zzzz", "spend": "0.000000000000", "blocked": True}

FACTS = """\
key          {key}
alias        ci
id           key_1
state        ● active
models       gemini-2.5*
routes       generateContent
spend        $5.00 of $20 each 30d  █████░░░░░░░░░░░░░░░ 25 %
estimated    $0.5000 of the spend, for calls whose cost is unknown
soft budget  $15.50
resets       2099-01-01 12:30:00.000Z
limits       60 calls a minute, 100,000 tokens a minute, 4 parallel calls, 5 calls a minute for *-pro
tags         team-a, x�[31m
user         u1
group        g1
metadata     {{"owner":"me"}}
disconnect   cancel
shared with  its group
unpriced     allowed, charged the most that a call can cost
searches     none
storage      requests must say store: false
output       at most 8,192 tokens a request
tiers        standard, flex
addresses    10.0.0.0/8
role         viewer
expires      2099-01-31 00:00:00.000Z
created      2026-11-01 08:00:00.000Z
last used    never
"""


@cases(
    ("options", "sent"),
    [
        ([], {}),
        (["--alias", "ci", "--duration", "30d"], {"key_alias": "ci", "duration": "30d"}),
        (["--models", "a, b,", "--tags", "x"], {"models": ["a", "b"], "tags": ["x"]}),
        (
            ["--max-budget", "10.50", "--soft-budget", "9", "--budget-duration", "1mo"],
            {"max_budget": "10.50", "soft_budget": "9", "budget_duration": "1mo"},
        ),
        (
            ["--rpm", "60", "--tpm", "1000", "--parallel", "4"],
            {"rpm_limit": 60, "tpm_limit": 1000, "max_parallel_requests": 4},
        ),
        (
            ["--model-rpm", "gemini-2.5-pro*=10, *-lite=60", "--model-tpm", "a=b=5"],
            {"model_rpm_limit": {"gemini-2.5-pro*": 10, "*-lite": 60}, "model_tpm_limit": {"a=b": 5}},
        ),
        (["--model-budget", "*-pro=2.50"], {"model_max_budget": {"*-pro": "2.50"}}),
        (["--user", "u", "--group", "g"], {"user_id": "u", "group": "g"}),
        (["--routes", "embedContent,/v1/files/*"], {"allowed_routes": ["embedContent", "/v1/files/*"]}),
        (["--metadata", '{"a": [1]}'], {"metadata": {"a": [1]}}),
        (["--on-disconnect", "finish"], {"on_disconnect": "finish"}),
        (["--role", "viewer"], {"role": "viewer"}),
        (["--share", "all"], {"share": "all"}),
        (["--allow-unpriced"], {"allow_unpriced": True}),
        (["--no-allow-unpriced"], {"allow_unpriced": False}),
        (["--searches", "0", "--no-store"], {"searches": 0, "store": False}),
        (
            ["--max-output-tokens", "8192", "--service-tiers", "flex, batch", "--allowed-ips", "::1"],
            {"max_output_tokens": 8192, "service_tiers": ["flex", "batch"], "allowed_ips": ["::1"]},
        ),
        (["--secret", SECRET, "--blocked"], {"key": SECRET, "blocked": True}),
    ],
)  # fmt: skip
def test_what_create_asks_for(on: Any, gateway: Any, options: list[str], sent: dict[str, Any]) -> None:
    gateway.answers = {"POST /key/generate": {**KEY, "key": SECRET}}
    assert on("keys", "create", *options).status == 0
    assert gateway.asked[-1].body == sent


def test_edit_sends_what_is_given_and_takes_away_what_is_named(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /key/update": {**KEY, "key": "key_1"}}
    ended = on("keys", "edit", "ci", "--max-budget", "20", "--unset", "rpm, models")
    assert gateway.asked[0].body == {"key": "ci", "rpm_limit": None, "max_budget": "20", "models": None}
    assert (ended.status, ended.out, ended.err) == (0, "changed ci\n", "")


@cases("command", [["create"], ["edit", "ci"]])
@cases(
    "option",
    [[f"--{field.flag}", value] for field in KEY_FIELDS if not field.is_switch for value in ("", "  ")]
    + [["--models", ","], ["--routes", " , "], ["--tags", ",,"], ["--model-rpm", ","]],
)
def test_an_empty_value_is_refused_before_anything_is_asked(
    on: Any, gateway: Any, command: list[str], option: list[str]
) -> None:
    ended = on("keys", *command, *option)
    assert (ended.status, ended.out, gateway.asked) == (2, "", [])
    assert f"--unset {option[0].removeprefix('--')}" in ended.err


@pytest.mark.parametrize(
    "options", [["--unset", ""], ["--unset", "nonsense"], ["--rpm", "1", "--unset", "rpm"]]
)
def test_what_cannot_be_taken_away(on: Any, gateway: Any, options: list[str]) -> None:
    assert on("keys", "edit", "ci", *options).status == 2
    assert not gateway.asked


def test_an_empty_secret_is_sent_to_be_refused(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /key/generate": (400, {"title": "Bad Request", "detail": "`key` is empty"})}
    assert on("keys", "create", "--secret", "").status == 6
    assert gateway.asked[0].body == {"key": ""}


@pytest.mark.parametrize("args", [["create"], ["rotate", "ci"]], ids=" ".join)
def test_a_new_secret_is_shown_once(on: Any, gateway: Any, args: list[str]) -> None:
    new = {**KEY, "key": SECRET}
    gateway.answers = {"POST /key/generate": new, "POST /key/regenerate": new}
    ended = on("keys", *args)
    assert ended.out == FACTS.format(key=SECRET)
    assert ended.err == "Keep the key now: it is not shown again.\n"
    assert on("keys", *args, "--quiet").out == f"{SECRET}\n"
    assert on("keys", *args, "--json").document == new


def test_show_has_everything_but_the_secret(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/info": {"key": "key_1", "info": KEY}}
    ended = on("keys", "show", "ci")
    assert ended.out == FACTS.format(key="sk-...wxyz")
    assert gateway.asked[0].query == {"key": "ci"}


def test_list_says_what_keys_can_be_sorted_by(cli: Any) -> None:
    told = " ".join(cli("keys", "list", "--help").out.split())
    *others, last = sorted(SORTS)
    assert f"{', '.join(others)} or {last}" in told


def test_list_is_a_table_with_bars(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/list": {"keys": [KEY, PLAIN], "next_cursor": "abc"}}
    ended = on("keys", "list", "--query", "team", "--sort", "-spend", "--limit", "2", "--cursor", "xyz")
    head, first, second = ended.out.splitlines()
    assert head.split() == ["key", "secret", "models", "tags", "spend", "rate", "last", "used", "state"]
    cells = [cell.strip() for cell in first.split("  ") if cell]
    assert cells[:5] == ["ci", "sk-…wxyz", "gemini-2.5*", "team-a x�[31m", "$5.00 of $20/30d"]
    assert cells[5].startswith("███")
    assert cells[6:] == ["60/min", "never", "● active, viewer"]
    assert [cell.strip() for cell in second.split("  ") if cell] == [
        "key_2", "sk-…zzzz", "any", "$0", "no budget", "–", "never", "○ blocked",
    ]  # fmt: skip
    assert first.index("sk-") == second.index("sk-") == head.index("secret")
    assert ended.err == "There are more: --cursor abc\n"
    assert gateway.asked[0].query == {"q": "team", "sort": "-spend", "limit": "2", "cursor": "xyz"}


@pytest.mark.parametrize(
    ("verb", "done"), [("block", "blocked"), ("unblock", "unblocked")]
)  # fmt: skip
def test_one_key_or_several(on: Any, gateway: Any, verb: str, done: str) -> None:
    several = {"keys": [{**KEY, "key": "key_1"}, {**PLAIN, "key": "key_2"}]}
    gateway.answers = {f"POST /key/{verb}": [{**KEY, "key": "key_1"}, several, several]}
    assert on("keys", verb, "ci").out == f"{done} ci\n"
    assert on("keys", verb, "ci", "key_2").out == f"{done} ci\n{done} key_2\n"
    assert on("keys", verb, "ci", "key_2", "--json").document == several
    assert [asked.body for asked in gateway.asked[:2]] == [{"key": "ci"}, {"keys": ["ci", "key_2"]}]


@pytest.mark.parametrize(
    ("args", "typed", "status", "asks", "deletes"),
    [
        (["--yes"], "", 0, False, True),
        ([], "y\n", 0, True, True),
        ([], "YES\n", 0, True, True),
        ([], "\n", 6, True, False),
        ([], "no\n", 6, True, False),
        ([], "", 2, True, False),
    ],
)
def test_delete_asks_first(
    on: Any, gateway: Any, args: list[str], typed: str, status: int, asks: bool, deletes: bool
) -> None:
    gateway.answers = {
        "GET /key/info": {"key": "key_1", "info": KEY},
        "POST /key/delete": {"deleted_keys": ["key_1"]},
    }
    ended = on("keys", "delete", SECRET, *args, typed=typed)
    assert ended.status == status
    assert ("Delete for good: ci? [y/N]" in ended.err) == asks
    assert ended.out == ("deleted ci\n" if deletes else "")
    assert ("--yes" in ended.err) == (status == 2)
    assert ("POST" in [asked.method for asked in gateway.asked]) == deletes
    assert SECRET not in ended.out + ended.err


def test_json_is_the_document_unchanged(on: Any, gateway: Any) -> None:
    listed = {"keys": [{**KEY, "new_field": 1e400 if False else "kept"}], "next_cursor": None, "also": [1.50]}
    gateway.answers = {"GET /key/list": listed}
    assert on("keys", "list", "--json").out == json.dumps(listed) + "\n"


@cases("character", [0x7F, 0x80, 0x9B, 0x9F, 0x61C, 0x200F, 0x202E, 0x2028, 0x2066, 0x2069])
def test_json_escapes_what_would_command_a_terminal(on: Any, gateway: Any, character: int) -> None:
    listed = {"keys": [{**KEY, "user_id": f"Zürich {chr(character)}31m"}], "next_cursor": None}
    gateway.answers = {"GET /key/list": (200, json.dumps(listed, ensure_ascii=False).encode())}
    ended = on("keys", "list", "--json")
    assert ended.document == listed
    assert chr(character) not in ended.out
    assert f"Zürich \\u{character:04x}31m" in ended.out


def test_a_rotation_may_leave_the_old_secret_valid_or_end_that(on: Any, gateway: Any) -> None:
    gateway.answers = {
        "POST /key/regenerate": {**KEY, "key": SECRET, "previous_key_name": "sk-...abcd",
                                 "previous_expires": "2099-01-01T00:00:00Z"},
        "POST /key/end_grace": KEY,
    }  # fmt: skip
    ended = on("keys", "rotate", "ci", "--grace", "24h")
    assert gateway.asked[0].body == {"key": "ci", "grace": "24h"}
    assert "old secret   sk-...abcd until 2099-01-01 00:00:00.000Z" in ended.out
    assert on("keys", "rotate", "ci", "--end-grace").out == "ended the grace of ci\n"
    assert gateway.asked[1].body == {"key": "ci"}
    assert on("keys", "rotate", "ci", "--end-grace", "--grace", "1h").status == 2


def test_what_is_deleted_is_what_was_asked_about(on: Any, gateway: Any) -> None:
    gateway.answers = {
        "GET /key/info": {"key": "key_1", "info": KEY},
        "POST /key/delete": {"deleted_keys": ["key_1"]},
    }
    on("keys", "delete", "ci", typed="y\n")
    assert gateway.asked[-1].body == {"token_ids": ["key_1"]}
