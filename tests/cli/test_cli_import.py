"""`gatekeeper import litellm`: what it sends, what it says, and what it never says."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

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
    monkeypatch.setitem(sys.modules, "psycopg", None)
    ended = on("import", "litellm", *args)
    assert (ended.status, said in ended.err, gateway.asked) == (2, True, []), ended.err
    assert "s3cretPW" not in ended.err


class Postgres(ModuleType):
    """What is used of psycopg, in front of the recorded tables: the real one is not installed for tests."""

    class Error(Exception):
        pass

    class OperationalError(Error):
        pass

    class InsufficientPrivilege(Error):
        pass

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__("psycopg")
        self.error = error
        self.done: list[object] = []

    def connect(self, address, **options):
        self.done.append(address)
        if self.error:
            raise self.error
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def execute(self, query, params=()):
        self.done.append((query, params))
        name = params[0].strip('"')
        exists = "to_regclass" in query and (RECORDED / f"{name}.csv").exists() and "Member" not in name
        return SimpleNamespace(fetchone=lambda: (name if exists else None,))

    def cursor(self):
        return self

    @contextmanager
    def copy(self, statement):
        (name,) = re.findall(r'COPY \(SELECT \* FROM "(\w+)"\) TO STDOUT \(FORMAT csv, HEADER\)', statement)
        content = (RECORDED / f"{name}.csv").read_bytes()
        # In parts, which end anywhere.
        yield [memoryview(content[at : at + 7]) for at in range(0, len(content), 7)]


def test_a_database_gives_what_its_exported_files_do(on, gateway, monkeypatch):
    gateway.answers = {"POST /import": ANSWER}
    by_files = on("import", "litellm", "--csv", str(RECORDED))
    psycopg = Postgres()
    monkeypatch.setitem(sys.modules, "psycopg", psycopg)
    monkeypatch.setenv("LITELLM_DATABASE_URL", "postgresql://u:s3cretPW@h/d?schema=of%20llm&pool_timeout=1")
    assert on("import", "litellm") == by_files
    assert gateway.asked[0].body == gateway.asked[1].body
    assert psycopg.done[0] == "postgresql://u:s3cretPW@h/d"
    assert psycopg.done[1] == ("SELECT set_config('search_path', %s, true)", ('"of llm"',))
    assert (psycopg.read_only, psycopg.isolation_level) == (True, 3)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            Postgres.OperationalError('no host "s3cret/PW"\n  Is it running?'),
            3,
            'no host "***" Is it running?',
        ),
        (Postgres.Error("invalid URI: postgresql://u:s3cret%2FPW@h"), 6, "cannot be read (Error)"),
        (Postgres.InsufficientPrivilege("denied"), 6, "USER may select from LiteLLM's tables"),
    ],
)
def test_a_database_that_cannot_be_read_is_said_without_the_password(on, monkeypatch, error, status, said):
    monkeypatch.setitem(sys.modules, "psycopg", Postgres(error))
    ended = on("import", "litellm", "--database", "postgresql://u:s3cret%2FPW@h/d")
    assert (ended.status, said in ended.err) == (status, True), ended.err
    assert "s3cret" not in ended.err


def test_an_address_keeps_what_libpq_knows():
    url = "postgresql://u:p%40w@h:5432/d?schema=llm&connection_limit=5&sslmode=require&pgbouncer=true"
    assert libpq_address(url) == ("postgresql://u:p%40w@h:5432/d?sslmode=require", "llm")
    assert libpq_address("postgres://h/d") == ("postgres://h/d", None)
    assert without_password('bad "p%40w" or p@w\n of u', url) == 'bad "***" or *** of u'
