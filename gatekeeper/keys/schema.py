"""The tables of the SQLite store of keys, and how a file of an older gatekeeper gets them."""

from __future__ import annotations

# One script for each version of the schema; `user_version` says how many of them a file has had.
MIGRATIONS = (
    """
    CREATE TABLE keys (
      token_id TEXT PRIMARY KEY,
      secret_hash TEXT NOT NULL UNIQUE,
      key_alias TEXT UNIQUE,
      record TEXT NOT NULL,  -- JSON
      spend_pico TEXT NOT NULL,  -- digits: a sum may outgrow 64 bits, and SQLite would make it a float
      window_start INTEGER NOT NULL,  -- this and all other times: microseconds since 1970, UTC
      budget_reset_at INTEGER,
      last_used_at INTEGER
    ) STRICT;
    CREATE TABLE watermark (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      segment INTEGER NOT NULL,
      "offset" INTEGER NOT NULL
    ) STRICT;
    INSERT INTO watermark VALUES (1, 0, 0);
    CREATE TABLE audit (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      at INTEGER NOT NULL,
      token_id TEXT NOT NULL,
      change TEXT NOT NULL  -- JSON
    ) STRICT;
    """,
    # The part of spend_pico that is estimates.
    "ALTER TABLE keys ADD COLUMN estimated_pico TEXT NOT NULL DEFAULT '0'",
    # Secrets of keys that were deleted or given another one.
    "CREATE TABLE retired (secret_hash TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT",
)
