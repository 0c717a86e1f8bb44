"""Sessions: requests without a key that continue an earlier request with a key.

There are two kinds. A resumable upload: the requests that send the file to its URL have no key. An ephemeral
token, which opens sessions of the Live API in place of a key. Whoever has the upload id or the token acts as
the key that started the session, so that key is looked up again with each request.

A session is identified by the digest of its secret; the secret itself is not stored. Sessions survive a
restart, expire, and are limited in number per key.
"""

from __future__ import annotations

import msgspec
import trio

from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sqlite_file import SqliteFile, StoreError

MAX_SESSIONS_PER_KEY = 10_000  # per kind


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`key_id` is a `token_id`, `open` or `master`; `google_key` the label of the Google key that was used;
    the end user, the tags and the user agent are those of the request that started it. `expires_at`:
    microseconds since 1970."""

    key_id: str
    google_key: str
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    user_agent: str | None = None
    expires_at: int


class UploadSession(Session, frozen=True, kw_only=True, omit_defaults=True, tag="upload"):
    """A resumable upload. `path` is that of the request that started it, after `/gemini`. `sealed_target` is
    path and query of Google's upload URL, encrypted with the upload id, because it is a secret, too; `host`
    is Google's host if it is not that of the configured upstream."""

    path: str
    sealed_target: str
    host: str | None = None


class EphemeralToken(Session, frozen=True, kw_only=True, omit_defaults=True, tag="token"):
    """A token for the Live API. It opens new sessions until `new_sessions_until` (microseconds since 1970),
    at most `uses` of them (0: any number): Google enforces both."""

    new_sessions_until: int
    uses: int = 1


AnySession = UploadSession | EphemeralToken
KINDS = {UploadSession: "upload", EphemeralToken: "token"}
_decode = msgspec.json.Decoder(AnySession).decode


class TooManySessions(StoreError):
    """The key has reached its limit of sessions of this kind."""


class SqliteSessionStore:
    """A table of the keys' SQLite file, which the caller closes: sessions by the digest of their secret.
    Methods block, may be called from any thread, and raise StoreFailed. Writes are durable. `now`:
    microseconds since 1970."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def insert(self, digest: str, session: AnySession, now: int, limit: int) -> None:
        """Adds a session and removes expired ones. Raises TooManySessions if the key has `limit` of this
        kind."""
        kind = KINDS[type(session)]
        with self._file.transaction() as db:
            # First, because expired sessions must not count towards the key's limit.
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
        """The session, unless it has expired."""
        with self._file.transaction() as db:
            row = db.execute(
                "SELECT record FROM sessions WHERE digest = ? AND expires_at > ?", (digest, now)
            ).fetchone()
        return None if row is None else _decode(row[0])

    def expire(self, digest: str, at: int) -> None:
        """Makes the session expire at this time, unless it expires earlier."""
        with self._file.transaction() as db:
            db.execute("UPDATE sessions SET expires_at = min(expires_at, ?) WHERE digest = ?", (at, digest))

    def purge(self, now: int) -> None:
        """Removes expired sessions."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))


class Sessions:
    """The sessions of one gateway. Each method is one transaction in a worker thread, and raises
    StoreFailed."""

    def __init__(self, store: SqliteSessionStore, limit: int = MAX_SESSIONS_PER_KEY) -> None:
        self._store = store
        self.limit = limit

    async def purge(self, now: int) -> None:
        await trio.to_thread.run_sync(self._store.purge, now)

    async def add(self, secret: str, session: AnySession, now: int) -> None:
        """Returns once the session is on disk. Raises TooManySessions."""
        await trio.to_thread.run_sync(self._store.insert, hash_secret(secret), session, now, self.limit)

    async def find_upload(self, upload_id: str, now: int) -> UploadSession | None:
        found = await trio.to_thread.run_sync(self._store.find, hash_secret(upload_id), now)
        return found if isinstance(found, UploadSession) else None

    async def find_token(self, token: str, now: int) -> EphemeralToken | None:
        found = await trio.to_thread.run_sync(self._store.find, hash_secret(token), now)
        return found if isinstance(found, EphemeralToken) else None

    async def expire(self, secret: str, at: int) -> None:
        await trio.to_thread.run_sync(self._store.expire, hash_secret(secret), at)
