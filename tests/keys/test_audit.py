"""The audit log: what it keeps, how it is searched, and that nothing can change it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from gatekeeper.keys.audit import Actor, AuditFilter, Change, SqliteAuditStore, audit_document
from gatekeeper.keys.sqlite_file import MIGRATIONS, SqliteFile
from gatekeeper.keys.virtual_key import Role

ANN = Actor("key_a", "ann", Role.OPERATOR, "10.0.0.1")
CHANGES = (
    Change.of("create", 1, "master", {}, token_id="key_1", key_alias="web"),
    Change.of("update", 2, ANN, {"rpm_limit": {"from": None, "to": 7}}, token_id="key_1", key_alias="front"),
    Change.of("file.lend", 3, Actor("open", address="::1"), {}, target="gatekeeper.duckdb"),
    Change.of("create", 4, ANN, {}, token_id="key_2"),
)


@pytest.fixture
def file(tmp_path):
    with closing(SqliteFile(tmp_path / "keys.db")) as file:
        yield file


@pytest.fixture
def store(file):
    store = SqliteAuditStore(file)
    for change in CHANGES:
        store.append(change)
    return store


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"actions": ("create",)}, [4, 1]),
        ({"actions": ("file.lend", "update")}, [3, 2]),
        ({"keys": ("key_1",)}, [2, 1]),
        ({"keys": ("front", "key_2")}, [4, 2]),
        ({"keys": ("gatekeeper.duckdb",)}, [3]),
        ({"by": ("master",)}, [1]),
        ({"by": ("ann",)}, [4, 2]),
        ({"by": ("key_a", "open")}, [4, 3, 2]),
        ({"since": 2, "until": 4}, [3, 2]),
        ({"actions": ("create",), "by": ("ann",)}, [4]),
        ({"before": 3}, [2, 1]),
        ({"keys": ("nobody' OR 1=1 --",)}, []),
    ],
    ids=str,
)
def test_changes_are_found_by_what_is_asked(store, wanted, found):
    assert [entry.change.at for entry in store.find(AuditFilter(**wanted), 10)] == found


def test_a_page_has_the_latest_changes(store):
    assert [entry.change.at for entry in store.find(AuditFilter(), 2)] == [4, 3]


def test_an_entry_says_who_changed_what_from_where(store):
    entry = store.find(AuditFilter(actions=("update",)), 1)[0]
    assert audit_document(entry) == {
        "id": entry.id,
        "at": "1970-01-01T00:00:00.000002Z",
        "by": "key_a",
        "by_alias": "ann",
        "role": "operator",
        "address": "10.0.0.1",
        "action": "update",
        "token_id": "key_1",
        "key_alias": "front",
        "target": None,
        "detail": {"rpm_limit": {"from": None, "to": 7}},
    }


@pytest.mark.parametrize("statement", ["UPDATE audit SET at = 0", "DELETE FROM audit WHERE id = 1"])
def test_no_statement_changes_an_entry(store, file, statement):
    with (
        closing(sqlite3.connect(file._path)) as vandal,
        pytest.raises(sqlite3.IntegrityError, match="app"),
    ):
        vandal.execute(statement)
    assert len(store.find(AuditFilter(), 10)) == len(CHANGES)


def test_entries_of_an_older_gatekeeper_are_read(tmp_path):
    path = tmp_path / "keys.db"
    entry = '{"at":5,"by":"master","action":"delete","token_id":"key_9","key_alias":null,"detail":{}}'
    with closing(sqlite3.connect(path)) as old, old:
        for statement in MIGRATIONS[0].split(";\n"):
            old.execute(statement)
        old.execute("INSERT INTO audit (at, token_id, change) VALUES (5, 'key_9', ?)", (entry,))
        old.execute("PRAGMA user_version = 1")
    with closing(SqliteFile(path)) as file:
        (found,) = SqliteAuditStore(file).find(AuditFilter(keys=("key_9",)), 10)
    assert (found.change.by, found.change.role, found.change.address) == ("master", None, None)
