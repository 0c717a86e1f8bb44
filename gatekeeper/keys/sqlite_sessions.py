"""Sessions in a table of the keys' SQLite file."""

from __future__ import annotations

import msgspec

from gatekeeper.keys.sessions import AnySession, EphemeralToken, TooManySessions, UploadSession
from gatekeeper.keys.sqlite_file import SqliteFile

KINDS = {UploadSession: "upload", EphemeralToken: "token"}

_decode = msgspec.json.Decoder(AnySession).decode


class SqliteSessionStore:
    """Shares the file with its owner, which closes it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def insert(self, digest: str, session: AnySession, now: int, limit: int) -> None:
        kind = KINDS[type(session)]
        with self._file.transaction() as db:
            # First: what has expired must not count against the limit of the key.
            db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
            (count,) = db.execute(
                "SELECT count(*) FROM sessions WHERE key_id = ? AND kind = ?", (session.key_id, kind)
            ).fetchone()
            if count >= limit:
                raise TooManySessions
            db.execute(
                "INSERT OR REPLACE INTO sessions (digest, kind, key_id, expires_at, record) "
                "VALUES (?, ?, ?, ?, ?)",
                (digest, kind, session.key_id, session.expires_at, msgspec.json.encode(session).decode()),
            )

    def find(self, digest: str, now: int) -> AnySession | None:
        with self._file.transaction() as db:
            row = db.execute(
                "SELECT record FROM sessions WHERE digest = ? AND expires_at > ?", (digest, now)
            ).fetchone()
        return None if row is None else _decode(row[0])

    def expire(self, digest: str, at: int) -> None:
        with self._file.transaction() as db:
            db.execute("UPDATE sessions SET expires_at = min(expires_at, ?) WHERE digest = ?", (at, digest))

    def purge(self, now: int) -> None:
        with self._file.transaction() as db:
            db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
