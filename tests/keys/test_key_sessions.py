"""Sessions: found by their secret until they expire, also after a restart, and limited for each key."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sessions import (
    EphemeralToken,
    Sessions,
    SqliteSessionStore,
    TooManySessions,
    UploadSession,
)
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.keys.sqlite_store import SqliteKeyStore

Open = Callable[[], Sessions]
MAX = 3


@pytest.fixture
async def reopen(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the same store anew each time; the one before is closed, as a restart would."""
    opened: list[SqliteKeyStore] = []

    def open_anew() -> Sessions:
        for store in opened:
            store.close()
        opened[:] = [SqliteKeyStore(tmp_path / "keys.db")]
        return Sessions(SqliteSessionStore(opened[0]), limit=MAX)

    yield open_anew
    opened[0].close()


def upload(key_id: str = "key_1", expires_at: int = 100, **fields) -> UploadSession:
    given = {"google_key": "#1", "path": "/p", "sealed_target": "00", **fields}
    return UploadSession(key_id=key_id, expires_at=expires_at, **given)


def token(key_id: str = "key_1", expires_at: int = 100) -> EphemeralToken:
    return EphemeralToken(
        key_id=key_id, google_key="#1", expires_at=expires_at, new_sessions_until=50, uses=0, tags=("a",)
    )


async def test_a_session_is_found_after_a_restart(reopen: Open) -> None:
    sent = upload(user_id="joe", tags=("a", "b"), user_agent="sdk/1", host="x.googleapis.com")
    await reopen().add("secret", sent, now=0)
    sessions = reopen()
    assert await sessions.find_upload("secret", now=99) == sent
    assert await sessions.find_upload("other", now=99) is None


async def test_an_upload_is_no_token(reopen: Open) -> None:
    sessions = reopen()
    await sessions.add("u", upload(), now=0)
    await sessions.add("t", token(), now=0)
    assert await sessions.find_token("t", now=0) == token()
    assert await sessions.find_upload("t", now=0) is None
    assert await sessions.find_token("u", now=0) is None


async def test_an_expired_session_is_not_found_and_then_removed(reopen: Open, tmp_path: Path) -> None:
    sessions = reopen()
    for number, remove in enumerate([sessions.purge, lambda now: sessions.add("x", upload("k", 999), now)]):
        await sessions.add("secret", upload(), now=0)
        assert await sessions.find_upload("secret", now=100) is None
        await remove(100)
        with closing(sqlite3.connect(tmp_path / "keys.db")) as file:
            assert file.execute("SELECT count(*) FROM sessions").fetchone() == (number,)


async def test_a_session_can_only_expire_earlier(reopen: Open) -> None:
    sessions = reopen()
    await sessions.add("secret", upload(), now=0)
    await sessions.expire("secret", at=200)
    assert await sessions.find_upload("secret", now=100) is None
    await sessions.expire("secret", at=50)
    assert await sessions.find_upload("secret", now=49)
    assert await sessions.find_upload("secret", now=50) is None


async def test_a_key_has_so_many_of_one_kind(reopen: Open) -> None:
    sessions = reopen()
    for number in range(MAX):
        await sessions.add(f"u{number}", upload(expires_at=100 + number), now=0)
    with pytest.raises(TooManySessions):
        await sessions.add("one more", upload(), now=0)
    await sessions.add("token", token(), now=0)
    await sessions.add("another key's", upload("key_2"), now=0)
    # Once one has expired there is room.
    await sessions.add("one more", upload(expires_at=200), now=100)
    assert await sessions.find_upload("one more", now=100)


async def test_no_secret_is_stored(reopen: Open, tmp_path: Path) -> None:
    sessions = reopen()
    await sessions.add("the-upload-id", upload(), now=0)
    with closing(sqlite3.connect(tmp_path / "keys.db")) as file:
        (row,) = file.execute("SELECT * FROM sessions").fetchall()
    assert hash_secret("the-upload-id") in row
    assert "the-upload-id" not in str(row)


async def test_a_store_that_fails_says_so(reopen: Open, tmp_path: Path) -> None:
    sessions = reopen()
    with closing(sqlite3.connect(tmp_path / "keys.db")) as file:
        file.execute("DROP TABLE sessions")
    for call in (
        lambda: sessions.add("s", upload(), now=0),
        lambda: sessions.find_upload("s", now=0),
        lambda: sessions.expire("s", at=0),
        lambda: sessions.purge(now=0),
    ):
        with pytest.raises(StoreFailed):
            await call()
