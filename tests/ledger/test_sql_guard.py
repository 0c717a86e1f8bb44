"""Other people's SQL: what it may ask, what it is shown, and that it reaches nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from rig.analytics import Analytics
from rig.cases import cases

from gatekeeper.ledger.analytics.database import Database
from gatekeeper.ledger.analytics.sql_guard import SqlError, run_redacted
from gatekeeper.ledger.call import CallRecord, Outcome, Position

Sql = Callable[..., dict[str, Any]]

FILE = "gatekeeper.duckdb"


def made(number: int, **known: Any) -> CallRecord:
    return CallRecord(
        id=f"019a1b2c-0000-7000-8000-{number:012x}",
        started_at=1_795_521_600_000_000 + number,
        method="POST",
        path="/v1beta/models/m:generateContent",
        outcome=Outcome.OK,
        **known,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sql")


@pytest.fixture(scope="module")
def instance(folder: Path) -> Iterator[Database]:
    """Two calls in the file, which is open for reading only, and one that is not in it yet."""
    analytics = Analytics(folder)
    first = made(1, model="m", tags=["a", "b"], cost_pico=1, usage=msgspec.Raw(b'{"n": 1}'))
    second = made(2, model="n", total_tokens=7, cost_pico=2)
    analytics.add([(Position(1, 1), first), (Position(1, 2), second)])
    analytics.flush()
    analytics.add([(Position(1, 3), made(3))])
    pending, _ = analytics.pending_batch()
    analytics.release()
    instance = Database(folder)
    instance.attach(read_only=True)
    instance.load_pending(pending)
    yield instance
    instance.close()


@pytest.fixture
def sql(instance: Database) -> Sql:
    return lambda query, limit=1000, seconds=20.0: run_redacted(instance, query, limit, seconds)


@cases(
    ("query", "rows"),
    [
        ("SELECT count(*) FROM calls", [[3]]),
        ("select count(*) from calls; -- the end\n", [[3]]),
        ("FROM calls SELECT model ORDER BY id", [["m"], ["n"], [None]]),
        ("SELECT 'é;' /* ; */ ; /* ; */", [["é;"]]),
        ("WITH c AS (SELECT * FROM calls) SELECT sum(cost_usd) FROM c", [["0.000000000003"]]),
        ("SELECT c.id FROM main.calls c JOIN file.calls d USING (id) WHERE c.model = 'n'", [[made(2).id]]),
        ("SELECT unnest(tags) FROM calls ORDER BY 1", [["a"], ["b"]]),
        ("SELECT each.key FROM calls, json_each(usage) each", [["n"]]),
        ("SELECT max(range) FROM range(5)", [[4]]),
        ("SELECT 'a.csv' AS \"read_csv\"", [["a.csv"]]),
        ("VALUES (1), (2)", [[1], [2]]),
        ("SELECT 1 AS a, 2 AS a", [[1, 2]]),
    ],
)
def test_a_select_is_answered(sql: Sql, query: str, rows: list[list[Any]]) -> None:
    assert sql(query)["rows"] == rows


@cases(
    ("expression", "shown"),
    [
        ("min(started_at)", "2026-11-24T12:00:00.000001Z"),
        ("TIMESTAMP '2026-11-24 12:00:00'", "2026-11-24 12:00:00"),
        ("DATE '2026-11-24'", "2026-11-24"),
        ("min(id)", made(1).id),
        ("min(cost_usd)", "0.000000000001"),
        ("list(cost_usd ORDER BY id)", "[0.000000000001, 0.000000000002, NULL]"),
        ("min(tags)", []),
        ("max(tags)", ["a", "b"]),
        ("any_value(usage)", '{"n": 1}'),
        ("sum(total_tokens)", 7),
        ("2::HUGEINT ** 80 = 0", False),
        ("1.5::DOUBLE", 1.5),
        ("'nan'::DOUBLE", None),
        ("'-infinity'::FLOAT", None),
        ("'\\x01'::BLOB", "\\x01"),
        ("INTERVAL 1 DAY", "1 day"),
        ("{'cost': 0.10}", "{'cost': 0.10}"),
        ("NULL", None),
    ],
)
def test_every_value_is_one_of_json(sql: Sql, expression: str, shown: object) -> None:
    answer = sql(f"SELECT {expression} AS value FROM calls LIMIT 1")
    assert answer["columns"] == ["value"]
    assert answer["rows"] == [[shown]]
    msgspec.json.encode(answer)


def test_columns_types_and_the_limit(sql: Sql) -> None:
    assert sql("SELECT id, cost_usd FROM calls ORDER BY id", limit=2) == {
        "columns": ["id", "cost_usd"],
        "types": ["UUID", "DECIMAL(18,12)"],
        "rows": [[made(1).id, "0.000000000001"], [made(2).id, "0.000000000002"]],
        "truncated": True,
    }
    assert sql("SELECT id FROM calls", limit=3)["truncated"] is False


@cases(
    "query",
    [
        "EXPLAIN SELECT 1",
        "explain analyze select count(*) from calls",
        "DESCRIBE calls",
        "SUMMARIZE calls",
        "SHOW TABLES",
    ],
)
def test_a_query_and_the_tables_can_be_looked_into(sql: Sql, query: str) -> None:
    assert sql(query)["rows"]


@cases(
    "query",
    [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "INSERT INTO pending (method) VALUES ('x')",
        "UPDATE file.calls SET method = 'x'",
        "DELETE FROM file.calls",
        "DROP VIEW calls",
        "CREATE TABLE x (y INTEGER)",
        "CREATE TEMP TABLE x (y INTEGER)",
        "ALTER TABLE file.calls DROP COLUMN id",
        "WITH gone AS (DELETE FROM file.calls RETURNING id) SELECT * FROM gone",
        "COPY calls TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{folder}/gatekeeper.duckdb'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/gatekeeper.duckdb'",
        "EXPLAIN ANALYZE DELETE FROM file.calls",
        "EXPLAIN /* a */ ANALYZE DELETE FROM file.calls",
        "ATTACH '{folder}/other.duckdb'",
        "DETACH file",
        "EXPORT DATABASE '{folder}/out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "RESET memory_limit",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CHECKPOINT file",
        "BEGIN",
        "COMMIT",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/pass' || 'wd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_blob('{folder}/gatekeeper.duckdb')",
        "SELECT (SELECT max(size) FROM read_blob('{folder}/gatekeeper.duckdb'))",
        "SELECT * FROM calls WHERE id IN (SELECT filename FROM read_blob('{folder}/*'))",
        "WITH x AS (SELECT * FROM read_duckdb('{folder}/gatekeeper.duckdb')) SELECT * FROM x",
        "SELECT * FROM gatekeeper.duckdb",
        'SELECT * FROM "{folder}/gatekeeper".duckdb',
        "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
        "SUMMARIZE '/etc/passwd.csv'",
        "EXPLAIN SELECT * FROM read_csv('/etc/passwd')",
        "FROM query('SELECT * FROM read_csv(''/etc/passwd'')')",
        "FROM query_table('/etc/passwd.csv')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_databases()",
        "SELECT * FROM histogram('/etc/passwd.csv', x)",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM enable_logging()",
        "SELECT * FROM folder",
        "SELECT * FROM nothing",
        "SELECT nothing FROM calls",
        "SELEKT 1",
        "SELECT ?",
        "SELECT $name",
        "SELECT 1 + 'x'",
        "SELECT getenv('HOME')",
        "SELECT " + "CASE WHEN true THEN " * 900 + "1" + " END" * 900,
        "SELECT " + "- " * 20_000 + "1",
    ],
)
def test_everything_else_is_refused_and_changes_nothing(sql: Sql, folder: Path, query: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(SqlError) as caught:
        sql(query.replace("{folder}", str(folder)))
    assert str(caught.value)
    if "{folder}" not in query:
        assert str(folder) not in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert sql("SELECT count(*), count(method) FROM calls")["rows"] == [[3, 3]]


def test_no_query_takes_the_lock_off_the_file(sql: Sql, folder: Path) -> None:
    with pytest.raises(SqlError, match="table function read_blob is not allowed; there are duckdb_columns"):
        sql(f"SELECT * FROM read_blob('{folder / FILE}')")
    script = f"import duckdb\nduckdb.connect({str(folder / FILE)!r})"
    opened = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "Could not set lock" in opened.stderr


def test_a_name_that_could_be_a_file_is_no_table_even_in_the_data_folder(
    sql: Sql, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for table in (
        "gatekeeper.duckdb",
        "'gatekeeper.duckdb'",
        '"./gatekeeper".duckdb',
        "'gatekeeper.duckdb.wal'",
    ):
        with pytest.raises(SqlError, match="There is no table"):
            sql(f"SELECT * FROM {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_csv('/etc/passwd')",
        "COPY calls TO '/dev/null'",
        "SET enable_external_access = true",
        "SET threads = 1",
    ],
)
def test_behind_that_wall_stands_another(instance: Database, statement: str) -> None:
    with pytest.raises(duckdb.Error, match=r"disabled by configuration|has been locked"):
        instance.con.execute(statement)


def test_what_takes_too_long_is_stopped(sql: Sql) -> None:
    began = time.monotonic()
    with pytest.raises(SqlError, match=r"took longer than 0\.2 s"):
        sql(
            "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE hash(a.range) <> b.range",
            seconds=0.2,
        )
    assert time.monotonic() - began < 5
    assert sql("SELECT 1")["rows"] == [[1]]
