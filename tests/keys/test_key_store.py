"""What every store of keys does, run on each implementation; then what is SQLite's own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from gatekeeper.keys.account import AccountId
from gatekeeper.keys.audit import Change
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.sqlite_file import CHECKPOINT_INTERVAL, MIGRATIONS, StoreFailed, make_checkpoints
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.store import AliasConflict, KeyStore, KeyWrite, SecretConflict
from gatekeeper.keys.virtual_key import KeyRecord, KeyState
from gatekeeper.keys.windows import Window
from gatekeeper.ledger.call import Position

Open = Callable[[], KeyStore]
KEY_1, KEY_2, GONE = (AccountId("key", name) for name in ("key_1", "key_2", "gone"))
EVER = Window()


@pytest.fixture(params=[SqliteKeyStore])
def open_store(request, tmp_path):
    """Opens the same store anew each time; the one before is closed, as a restart would."""
    opened: list[KeyStore] = []

    def open_anew() -> KeyStore:
        for store in opened:
            store.close()
        opened[:] = [request.param(tmp_path / "keys.db")]
        return opened[0]

    yield open_anew
    opened[0].close()


def record(token_id: str = "key_1", **fields) -> KeyRecord:
    given = {
        "secret_hash": hash_secret(token_id),
        "key_name": "sk-...wxyz",
        "created_at": 1,
        "updated_at": 1,
        **fields,
    }
    return KeyRecord(token_id=token_id, **given)


def change(token_id: str = "key_1", action: str = "create", **fields) -> Change:
    return Change(
        **{"at": 1, "by": "master", "action": action, "token_id": token_id, "key_alias": None, **fields}
    )


def insert(store: KeyStore, *records: KeyRecord) -> None:
    for each in records:
        store.insert_all([KeyWrite(each, EVER, change(each.token_id))])


def only(store: KeyStore) -> KeyState:
    (state,) = store.load().states
    return state


# Every store


def test_what_models_have_spent_goes_with_their_key_and_with_no_other(open_store):
    store = open_store()
    insert(store, record("key_1"), record("key_2"))
    parts = [each._replace(model="*-pro") for each in (KEY_1, KEY_2)]
    store.add_spend({part: SpendDelta(EVER, 5) for part in parts}, 1, 1)

    store.delete_all([change("key_1", "delete")])

    stored = open_store().load().accounts
    assert [(each.id, each.spend_pico) for each in stored] == [(parts[1], 5)]


def test_a_new_store_is_empty_and_at_the_journals_beginning(open_store: Open):
    assert open_store().load() == ([], [], Position(0, 0))


def test_a_key_comes_back_as_it_was(open_store: Open):
    whole = record(
        key_alias="ключ 🔑",
        models=("gemini*",),
        max_budget_pico=10**24,
        metadata={"a": [1, {"b": None}], "big": 10**30},
        tags=("a, b",),
        blocked_at=5,
    )
    open_store().insert_all([KeyWrite(whole, Window(0, 99), change())])

    state = only(open_store())
    assert state.record == whole
    assert (state.spend_pico, state.window, state.last_used_at) == (0, Window(0, 99), None)


def test_an_update_replaces_the_record_and_keeps_the_spend(open_store: Open):
    store = open_store()
    insert(store, record())
    store.add_spend({KEY_1: SpendDelta(EVER, 7, 3)}, 1, 10)
    edited = record(key_alias="b", secret_hash=hash_secret("other"), rpm_limit=3)

    store.update_all([KeyWrite(edited, Window(0, 50), change(action="update"))])

    state = only(open_store())
    assert state.record == edited
    assert (state.spend_pico, state.window, state.last_used_at) == (7, Window(0, 50), 3)


def test_an_update_in_a_later_window_ends_the_spend_of_the_one_before(open_store: Open):
    store = open_store()
    store.insert_all([KeyWrite(record(), Window(0, 10), change())])
    store.add_spend({KEY_1: SpendDelta(Window(0, 10), 7, 3)}, 1, 10)

    store.update_all([KeyWrite(record(rpm_limit=1), Window(10, 20), change(action="update"))])

    assert (only(store).spend_pico, only(store).window) == (0, Window(10, 20))


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ({"key_alias": "a"}, AliasConflict),
        ({"secret_hash": hash_secret("key_1")}, SecretConflict),
    ],
)
def test_alias_and_secret_belong_to_one_living_key(open_store: Open, second, error):
    store = open_store()
    insert(store, record(key_alias="a"), record("key_2", key_alias="b"))

    with pytest.raises(error):
        insert(store, record("key_3", **second))
    with pytest.raises(error):
        store.update_all([KeyWrite(record("key_2", **second), EVER, change("key_2", "update"))])

    assert {(s.record.token_id, s.record.key_alias) for s in store.load().states} == {
        ("key_1", "a"),
        ("key_2", "b"),
    }

    store.delete_all([change(action="delete")])
    insert(store, record("key_3", **second))
    assert len(store.load().states) == 2


def test_a_key_may_keep_its_alias_and_many_may_have_none(open_store: Open):
    store = open_store()
    insert(store, record(key_alias="a"), record("key_2"), record("key_3"))

    store.update_all([KeyWrite(record(key_alias="a", rpm_limit=1), EVER, change(action="update"))])

    assert len(store.load().states) == 3


def test_charges_add_up_within_a_window_and_end_with_it(open_store: Open):
    store = open_store()
    insert(store, record(), record("key_2"))
    store.add_spend(
        {
            KEY_1: SpendDelta(Window(0, 10), 5, 4),
            KEY_2: SpendDelta(EVER, 1, 5),
        },
        1,
        10,
    )
    store.add_spend({KEY_1: SpendDelta(Window(0, 10), 6, 3)}, 1, 20)

    first, second = sorted(store.load().states, key=lambda state: state.record.token_id)
    assert (first.spend_pico, first.window, first.last_used_at) == (11, Window(0, 10), 4)
    assert (second.spend_pico, second.window, second.last_used_at) == (1, EVER, 5)

    store.add_spend({KEY_1: SpendDelta(Window(10, 20), 2, 12)}, 2, 0)
    loaded = open_store().load()
    first = min(loaded.states, key=lambda state: state.record.token_id)
    assert (first.spend_pico, first.window, first.last_used_at) == (2, Window(10, 20), 12)
    assert loaded.watermark == Position(2, 0)


def test_estimates_add_up_and_end_with_their_window(open_store: Open):
    store = open_store()
    insert(store, record())
    for offset in (1, 2):
        store.add_spend({KEY_1: SpendDelta(Window(0, 99), 7, 3, estimated_pico=5)}, 1, offset)
    assert (only(store).spend_pico, only(store).estimated_pico) == (14, 10)

    store.add_spend({KEY_1: SpendDelta(Window(99, 198), 2, 100, estimated_pico=1)}, 1, 3)
    state = only(open_store())
    assert (state.spend_pico, state.estimated_pico) == (2, 1)


def test_a_sum_beyond_64_bits_is_exact(open_store: Open):
    store = open_store()
    insert(store, record())
    store.add_spend({KEY_1: SpendDelta(EVER, 2**63, 1)}, 1, 1)
    store.add_spend({KEY_1: SpendDelta(EVER, 2**63 + 1, 1)}, 1, 2)

    assert only(open_store()).spend_pico == 2**64 + 1


def test_the_same_watermark_charges_once(open_store: Open):
    store = open_store()
    insert(store, record())
    for _ in range(3):
        store.add_spend({KEY_1: SpendDelta(EVER, 5, 1)}, 1, 10)

    assert only(open_store()).spend_pico == 5


def test_a_journal_begun_anew_is_charged_from_its_beginning(open_store: Open):
    store = open_store()
    insert(store, record())
    store.add_spend({KEY_1: SpendDelta(EVER, 2, 1)}, 7, 100)

    store.add_spend({KEY_1: SpendDelta(EVER, 5, 1)}, 1, 10)

    loaded = open_store().load()
    assert [state.spend_pico for state in loaded.states] == [7]
    assert loaded.watermark == Position(1, 10)


def test_a_charge_for_a_key_that_is_gone_is_passed_over(open_store: Open):
    store = open_store()
    insert(store, record())

    store.add_spend(
        {GONE: SpendDelta(EVER, 5, 1), KEY_1: SpendDelta(EVER, 2, 1)},
        1,
        10,
    )

    assert only(store).spend_pico == 2


def test_a_charge_that_fails_half_way_has_not_happened(open_store: Open):
    store = open_store()
    insert(store, record(), record("key_2"))
    unwritable = SpendDelta(Window(2**70, None), 5, 1)  # no store keeps such a time

    with pytest.raises((StoreFailed, OverflowError)):
        store.add_spend({KEY_1: SpendDelta(EVER, 5, 1), KEY_2: unwritable}, 1, 10)

    loaded = store.load()
    assert [state.spend_pico for state in loaded.states] == [0, 0]
    assert loaded.watermark == Position(0, 0)


def test_the_secrets_of_gone_keys_are_remembered_until_somebody_has_them_again(open_store: Open):
    store = open_store()
    insert(store, record(), record("key_2"))
    store.update_all([KeyWrite(record(secret_hash="new"), EVER, change(action="regenerate"))])
    store.update_all([KeyWrite(record("key_2", rpm_limit=3), EVER, change("key_2", action="update"))])
    assert store.revoked_hashes() == {hash_secret("key_1")}

    store.delete_all([change("key_2", action="delete")])
    assert open_store().revoked_hashes() == {hash_secret("key_1"), hash_secret("key_2")}

    store = open_store()
    insert(store, record("key_3", secret_hash=hash_secret("key_2")))
    store.update_all([KeyWrite(record(), EVER, change(action="regenerate"))])
    assert store.revoked_hashes() == {"new"}


def test_a_closed_store_says_so(open_store: Open):
    store = open_store()
    store.close()

    with pytest.raises(StoreFailed):
        store.load()


# SQLite


def test_the_files_are_private_even_if_they_were_not(tmp_path: Path):
    path = tmp_path / "keys.db"
    path.touch(mode=0o666)
    path.chmod(0o666)
    store = SqliteKeyStore(path)
    insert(store, record())

    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    store.close()
    assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}


def test_others_may_read_while_it_is_open(tmp_path: Path):
    store = SqliteKeyStore(tmp_path / "keys.db")
    insert(store, record(key_alias="a"))

    reader = sqlite3.connect(f"file:{tmp_path / 'keys.db'}?mode=ro", uri=True)
    assert reader.execute("SELECT token_id, key_alias FROM keys").fetchall() == [("key_1", "a")]
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()
    store.close()


@pytest.mark.parametrize("reading", [False, True])
async def test_the_file_holds_by_itself_what_was_written(
    tmp_path: Path, reading: bool, autojump_clock: trio.testing.MockClock
):
    def copied() -> sqlite3.Connection:
        shutil.copy(tmp_path / "keys.db", tmp_path / "copy.db")
        return sqlite3.connect(tmp_path / "copy.db")

    with closing(SqliteKeyStore(tmp_path / "keys.db")) as store:
        with closing(copied()) as copy:
            assert copy.execute("SELECT count(*) FROM keys").fetchone() == (0,)
        insert(store, record(), record("key_2"))
        store.add_spend({KEY_1: SpendDelta(EVER, 7, 3)}, 1, 10)
        store.delete_all([change("key_2")])
        await moved(store)
        with closing(copied()) as copy:
            assert copy.execute("SELECT token_id, spend_pico FROM keys").fetchall() == [("key_1", "7")]
        if reading:  # which keeps the log from the file for a while, and is no fault
            with closing(sqlite3.connect(tmp_path / "keys.db")) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM keys").fetchone()
                store.add_spend({KEY_1: SpendDelta(EVER, 1, 3)}, 1, 20)
                store.checkpoint()
                assert store.needs_checkpoint
            await moved(store)
            with closing(copied()) as copy:
                assert copy.execute("SELECT spend_pico FROM keys").fetchall() == [("8",)]
            assert only(store).spend_pico == 8


async def moved(store: SqliteKeyStore) -> None:
    """Returns once nothing is in the log only."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(make_checkpoints, store)
        while store.needs_checkpoint:
            await trio.sleep(CHECKPOINT_INTERVAL)
        nursery.cancel_scope.cancel()


def test_a_file_of_a_newer_gatekeeper_is_left_alone(tmp_path: Path):
    path = tmp_path / "keys.db"
    SqliteKeyStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreFailed, match=re.escape(str(path)) + ".*99"):
        SqliteKeyStore(path)


def test_a_file_of_an_older_gatekeeper_is_brought_up_to_date(tmp_path: Path):
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path)) as old, old:
        for statement in MIGRATIONS[0].split(";\n"):
            old.execute(statement)
        old.execute(
            "INSERT INTO keys VALUES ('key_1', 'hash', NULL, ?, '7', 0, NULL, 3)",
            (msgspec.json.encode(record()).decode(),),
        )
        old.execute("PRAGMA user_version = 1")

    with closing(SqliteKeyStore(path)) as store:
        state = only(store)
        assert (state.record, state.spend_pico, state.estimated_pico) == (record(), 7, 0)


def test_a_file_that_is_no_database_is_named(tmp_path: Path):
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database, whatever its name says" * 40)

    with pytest.raises(StoreFailed, match=re.escape(str(path))):
        SqliteKeyStore(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(StoreFailed, match="nowhere"):
        SqliteKeyStore(tmp_path / "nowhere" / "keys.db")


CHARGING = """
import sys
from pathlib import Path
from gatekeeper.keys.spend import SpendDelta
from gatekeeper.keys.windows import Window
from gatekeeper.keys.account import AccountId
from gatekeeper.keys.sqlite_store import SqliteKeyStore

store = SqliteKeyStore(Path(sys.argv[1]))
for offset in range(1, 1_000_000):
    spent = (("key_1", 3), ("key_2", 5))
    deltas = {AccountId("key", name): SpendDelta(Window(), pico, offset) for name, pico in spent}
    store.add_spend(deltas, 0, offset)
    print(offset, flush=True)
"""


def test_a_killed_process_leaves_spend_and_watermark_together(tmp_path: Path):
    path = tmp_path / "keys.db"
    store = SqliteKeyStore(path)
    insert(store, record(), record("key_2"))
    store.close()

    with subprocess.Popen(
        [sys.executable, "-c", CHARGING, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as charging:
        assert charging.stdout
        for _ in range(20):
            confirmed = int(charging.stdout.readline())
        os.kill(charging.pid, signal.SIGKILL)

    store = SqliteKeyStore(path)
    loaded = store.load()
    store.close()
    offset = loaded.watermark.offset
    assert offset >= confirmed
    spends = {state.record.token_id: (state.spend_pico, state.last_used_at) for state in loaded.states}
    assert spends == {"key_1": (3 * offset, offset), "key_2": (5 * offset, offset)}


def test_records_of_an_older_gatekeeper_are_read():
    old = (
        b'{"token_id":"key_1","secret_hash":"00","key_name":"sk-...","created_at":1,"updated_at":1,"gone":1}'
    )

    assert msgspec.json.decode(old, type=KeyRecord) == record(secret_hash="00", key_name="sk-...")
