"""`gatekeeper audit`: what is asked, and how a change is shown."""

from __future__ import annotations

UPDATE = {
    "id": 7,
    "at": "2026-11-24T13:07:32Z",
    "by": "key_a",
    "by_alias": "ann",
    "role": "operator",
    "address": "10.0.0.1",
    "action": "update",
    "token_id": "key_1",
    "key_alias": "ci\u001b[31m",
    "target": None,
    "detail": {
        "rpm_limit": {"from": None, "to": 7},
        "models": {"from": ["a"], "to": []},
        "max_budget": {"from": None, "to": "5.000000000000"},
    },
}
DELETE = {"id": 6, "by": "master", "action": "delete", "token_id": "key_2", "detail": {"key": {"spend": "1"}}}
LOAN = {
    "id": 5,
    "by": "open",
    "action": "file.lend",
    "target": "gatekeeper.duckdb",
    "detail": {"seconds": {"from": None, "to": "x" * 90}},
}


def test_changes_are_a_table(on, gateway):
    gateway.answers = {"GET /audit": {"changes": [UPDATE, DELETE, LOAN], "next_cursor": "5"}}
    ended = on("audit", "--action", "update,delete", "--changed", "ci", "--by", "ann", "--since", "1h")
    head, *rows = ended.out.splitlines()
    assert head.split() == ["at", "by", "from", "action", "what", "changes"]
    cells = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
    assert cells[0][1:] == [
        "ann",
        "10.0.0.1",
        "update",
        "ci�[31m",
        'rpm_limit – → 7, models ["a"] → [], max_budget – → $5',
    ]
    assert cells[1] == ["–", "master", "–", "delete", "key_2", "key … → –"]
    assert cells[2][4] == "gatekeeper.duckdb"
    assert cells[2][5] == f"seconds – → {'x' * 90}"
    assert ended.err == "There are more: --cursor 5\n"
    asked = {"action": "update,delete", "key": "ci", "by": "ann", "since": "1h", "limit": "100"}
    assert gateway.asked[0].query == asked


def test_times_of_a_change_are_for_people(on, gateway):
    detail = {
        "previous_expires": {"from": None, "to": "2026-11-25T13:07:32.418000Z"},
        "expires": {"from": "2026-12-31T00:00:00.000000Z", "to": None},
        "key_alias": {"from": "2026-12-31", "to": "2026-99-31T00:00:00.000000Z"},
    }
    gateway.answers = {"GET /audit": {"changes": [UPDATE | {"detail": detail}]}}
    for words in (
        "previous_expires – → 2026-11-25 13:07:32Z",
        "expires 2026-12-31 00:00:00Z → –",
        "key_alias 2026-12-31 → 2026-99-31T00:00:00.000000Z",
    ):
        assert words in on("audit").out


def test_json_is_the_document(on, gateway):
    document = {"changes": [UPDATE], "next_cursor": None}
    gateway.answers = {"GET /audit": document}
    assert on("audit", "--json").document == document
