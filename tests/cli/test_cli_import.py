"""`gatekeeper import litellm`: what it sends, what it says, and what it never says."""

from __future__ import annotations

import pytest
from litellm.rows import RECORDED, SECRETS, key_row, text_of

from gatekeeper.cli.litellm_source import libpq_address, without_password
from gatekeeper.keys.secrets import hash_secret

ANSWER = {"groups": 3, "users": 2, "keys": 4, "skipped": []}
KEYS = "LiteLLM_VerificationToken"
REPORT = """\
what      name                    as, or why not
group     Ann           new       budget $25.00/1mo; $3.50 spent
                                  it is an internal user's limits, as a group of its keys without a team
group     ops           new       blocked
group     shop          new       budget $500.00/1mo; $123.46 spent; gemini-2.5-*
end user  customer-1    new       budget $10.00/1d; $1.50 spent
end user  customer-2    new       $0.1000 spent; blocked
key       dev           new       group shop; budget $5.00/1w; $5.00 spent
key       gpt-only      left out  none of its models is Google's: gpt-4o, openai/*
key       guarded       left out  it would be without `guardrails` (there are no guardrails here)
key       mixed         new       blocked
                                  models that are not Google's are left out: gpt-4o
key       nightly-eval  new       group Ann; $0.3000 spent
key       old           left out  it has expired, on 2026-11-29
key       web-frontend  new       group shop; budget $50.00/1mo; $12.40 spent; 2 models
key       web-frontend  left out  none of its models is Google's: fast
""".splitlines()


def test_the_report_says_of_each_what_comes_and_what_is_left_out(on, gateway):
    gateway.answers = {"POST /import": ANSWER}
    ended = on("import", "litellm", "--csv", str(RECORDED), "--dry-run")
    body = gateway.asked[0].body
    assert (body["dry_run"], len(body["keys"]), len(body["groups"]), len(body["users"])) == (True, 4, 3, 2)
    assert [line.rstrip() for line in ended.out.splitlines()] == REPORT
    assert ended.err.splitlines()[-1] == (
        "3 groups, 2 end users, 4 keys would be imported: nothing was changed; 4 left out."
    )
    assert ended.status == 0


def test_what_is_there_already_is_named(on, gateway):
    gateway.answers = {
        "POST /import": {
            "groups": 0, "users": 0, "keys": 1,
            "skipped": [{"list": "groups", "index": 2, "reason": "it was imported before"},
                        {"list": "keys", "index": 1, "reason": "the key mixed has its secret already"}],
        }
    }  # fmt: skip
    ended = on("import", "litellm", "--csv", str(RECORDED), "--json")
    there = {item["name"]: item["notes"] for item in ended.document["items"] if item["state"] == "there"}
    assert there == {
        "shop": ["it was imported before"],
        "mixed": ["the key mixed has its secret already"],
    }
    assert "0 groups, 0 end users, 1 key imported; 2 there already; 4 left out." in ended.err
    assert hash_secret(SECRETS["mixed"]) not in ended.out


def test_a_fault_that_the_gateway_finds_is_told_by_name(on, gateway):
    detail = "the alias belongs to another key"
    faults = [{"list": "keys", "index": 2, "field": "key_alias", "detail": detail}]
    gateway.answers = {"POST /import": (409, {"detail": "One has a fault", "faults": faults})}
    ended = on("import", "litellm", "--csv", str(RECORDED))
    assert (ended.status, ended.out) == (6, "")
    assert ended.err.splitlines() == [
        "gatekeeper: key nightly-eval: the alias belongs to another key.",
        "gatekeeper: nothing was imported.",
    ]


def test_names_of_models_and_wider_keys_come_where_it_is_said(on, gateway):
    gateway.answers = {"POST /import": {**ANSWER, "keys": 6}}
    on("import", "litellm", "--csv", str(RECORDED), "--model", "fast=gemini-2.5-flash", "--allow-wider")
    sent = {key["key_alias"]: key.get("models") for key in gateway.asked[0].body["keys"]}
    assert sent["web-frontend-2"] == ["gemini-2.5-flash"]
    assert sent["guarded"] == ["gemini-2.5-pro"]


def test_files_are_known_by_the_names_of_their_tables(on, gateway, tmp_path):
    gateway.answers = {"POST /import": {**ANSWER, "keys": 1}}
    file = tmp_path / f"{KEYS.lower()}.csv"
    file.write_text(text_of(KEYS, [key_row()]), encoding="utf-8-sig")
    assert on("import", "litellm", "--csv", str(file)).status == 0
    (tmp_path / "others.csv").write_text("a\n1\n")
    assert on("import", "litellm", "--csv", str(tmp_path)).status == 0
    for given, said in (
        ([tmp_path / "others.csv"], "is not called after a table: there are LiteLLM_VerificationToken.csv"),
        ([file, tmp_path], "is the second one of LiteLLM_VerificationToken"),
    ):
        ended = on("import", "litellm", *(word for path in given for word in ("--csv", str(path))))
        assert (ended.status, said in ended.err) == (6, True), ended.err
    file.write_bytes(b"\xff")
    assert "is not UTF-8" in on("import", "litellm", "--csv", str(file)).err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "give LiteLLM's tables by --database URL or by --csv PATH"),
        (("--database", "mysql://u:s3cretPW@h/d"), "no address of PostgreSQL"),
        (("--database", "postgresql://u:s3cretPW@[h/d"), "no address of PostgreSQL"),
        (
            ("--database", "postgresql://u:s3cretPW@h/d"),
            "needs psycopg, which is not installed",
        ),
        (("--csv", str(RECORDED), "--model", "fast"), "write NAME=MODEL"),
        (("--csv", "nowhere"), "does not exist"),
    ],
)
def test_usage_is_said_before_anything_is_asked(on, gateway, monkeypatch, args, said):
    # Whatever is installed here.
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    ended = on("import", "litellm", *args)
    assert (ended.status, said in ended.err, gateway.asked) == (2, True, []), ended.err
    assert "s3cretPW" not in ended.err


def test_an_address_keeps_what_libpq_knows():
    url = "postgresql://u:p%40w@h:5432/d?schema=llm&connection_limit=5&sslmode=require&pgbouncer=true"
    assert libpq_address(url) == ("postgresql://u:p%40w@h:5432/d?sslmode=require", "llm")
    assert libpq_address("postgres://h/d") == ("postgres://h/d", None)
    assert without_password('bad "p%40w" or p@w\n of u', url) == 'bad "***" or *** of u'
