"""A data folder in which something is broken: what stops a start, and what does not stop the calls."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from rig.process import command, free_port, rows_in_file, serving
from rig.standin import StandIn
from rig.wire import exchange

KEY = {"GEMINI_API_KEY": "AIzaOfTheTests"}
GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
HEADER = b'{"v":99,"segment":1}'
NEWER = b"%08x %b\n" % (crc32(HEADER), HEADER)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("keys.sqlite", b"no database" * 100, ["keys.sqlite", "not a database"]),
        ("journal/00000001.ndjson", NEWER, ["00000001.ndjson", "newer", "--data"]),
        ("journal", b"", ["data/journal"]),
    ],
)
async def test_what_cannot_be_read_stops_the_start(
    tmp_path: Path, path: str, content: bytes, said: list[str]
) -> None:
    broken = tmp_path / "data" / path
    broken.parent.mkdir(parents=True)
    broken.write_bytes(content)
    run = await command(tmp_path, "serve", "--port", str(free_port()), "--data", "data", **KEY)
    line = run.stderr.decode()
    assert (run.returncode, line.count("\n")) == (2, 1), line
    assert not [part for part in said if part not in line], line
    assert broken.read_bytes() == content, "whoever mends it finds it as it was"


async def test_without_the_analytics_file_calls_go_on(folder: Path, google: StandIn) -> None:
    file = folder / "data" / "gatekeeper.duckdb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 1000)
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        ids = [await call(served.url) for _ in range(3)]
        await served.has_logged("analytics_write_failed")
        assert [row["id"] for row in (await served.get("/calls"))["calls"]] == ids[::-1]
        ready = await served.get("/readyz")
        assert (ready["ready"], len(ready["warnings"])) == (True, 1)
        assert await served.stop() == 0
    file.unlink()
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        ids.append(await call(served.url))
    assert [str(row["id"]) for row in rows_in_file(served.data)] == ids
    assert served.logged().count("analytics_write_failed") == 1
    assert "analytics_write_recovered" not in served.logged(), "it was replaced while no gateway ran"


async def call(url: str) -> str:
    return (await exchange(url, GENERATE, body=b"{}")).headers["x-gatekeeper-call-id"]
