"""The analytics file over HTTP: asked, lent and taken back."""

from __future__ import annotations

import subprocess
import sys

BORROWER = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"


async def test_a_select_sees_calls_that_have_just_ended(admin):
    admin.priced()
    found = await admin.post("/sql", {"query": "SELECT model, cost_usd FROM calls"})
    assert found == {
        "columns": ["model", "cost_usd"],
        "types": ["VARCHAR", "DECIMAL(18,12)"],
        "rows": [["gemini-2.5-flash", "0.001188700000"]],
        "truncated": False,
    }


async def test_a_limit_truncates_and_says_so(admin):
    found = await admin.post("/sql", {"query": "SELECT * FROM range(5)", "limit": 2})
    assert (found["rows"], found["truncated"]) == ([[0], [1]], True)


async def test_a_lent_file_is_whole_and_another_program_s_until_it_is_returned(admin):
    admin.priced()
    loan = await admin.post("/sql/lend", {"seconds": 60})
    assert loan["seconds"] == 60
    borrowed = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", BORROWER, loan["file"], "SELECT count(*) FROM calls"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert borrowed.stdout == "1\n"
    late = admin.priced()
    calls = await admin.get("/calls")
    assert ([call["id"] for call in calls["calls"]], calls["partial"]) == ([late.id], True)
    assert "POST /sql/return ends that" in calls["partial_reason"]
    assert (await admin.get("/spend"))["partial"]
    assert await admin.post("/sql/return") == {"returned": True}
    calls = await admin.get("/calls")
    assert (len(calls["calls"]), "partial" in calls) == (2, False)


async def test_what_is_missing_while_the_file_is_lent_may_be_in_it(admin):
    call = admin.priced()
    await admin.post("/sql/lend", {"seconds": 60})
    answer = await admin.client.get(f"/calls/{call.id}")
    assert answer.status_code == 404
    assert "another program" in answer.json()["detail"]


async def test_a_file_that_another_program_has_is_not_lent(admin):
    loan = await admin.post("/sql/lend", {"seconds": 60})
    held = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", held, loan["file"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as borrower:
        borrower.stdout.readline()
        await admin.post("/sql/return")
        answer = await admin.client.post("/sql/lend", json={"seconds": 60})
        borrower.stdin.close()
    assert answer.status_code == 409
    assert "gatekeeper.duckdb" in answer.json()["detail"]
