"""`gatekeeper keys import`: what a CSV file asks for, where the secrets go, and what is wrong by line."""

from __future__ import annotations

import pytest
from rig.cases import cases

MADE = {
    "keys": [{"key_alias": "a", "token_id": "key_1", "key": "sk-1"}, {"token_id": "key_2", "key": 'sk-2,"'}],
    "valid": 2,
}
ROWS = 'alias,max-budget,models,metadata,allow_unpriced\na,10.5,"g*, h","{""t"": 1}",true\n,,,,\n'


@pytest.fixture
def csv_file(tmp_path):
    def write(text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "keys.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def test_each_row_is_a_key_and_an_empty_cell_is_not_set(on, gateway, csv_file):
    gateway.answers = {"POST /key/bulk": MADE}
    ended = on("keys", "import", csv_file(ROWS, "utf-8-sig"))
    assert gateway.asked[0].body == {
        "keys": [
            {
                "key_alias": "a",
                "max_budget": "10.5",
                "models": ["g*", "h"],
                "metadata": {"t": 1},
                "allow_unpriced": True,
            },
            {},
        ],
        "dry_run": False,
    }
    assert ended.out == 'key_alias,token_id,key\na,key_1,sk-1\n,key_2,"sk-2,"""\n'
    assert (ended.status, ended.err) == (0, "2 keys created.\n")


def test_secrets_go_to_a_new_file_that_only_its_owner_reads(on, gateway, csv_file, tmp_path):
    gateway.answers = {"POST /key/bulk": [MADE, (409, {"detail": "keys[0]: taken"})]}
    out = tmp_path / "made.csv"
    assert on("keys", "import", csv_file(ROWS), "--out", str(out)).out == ""
    assert (out.stat().st_mode & 0o777, "sk-1" in out.read_text()) == (0o600, True)
    again = on("keys", "import", csv_file(ROWS), "--out", str(out))
    assert (again.status, len(gateway.asked)) == (6, 1)  # before anything was created
    assert "sk-1" in out.read_text()
    refused = on("keys", "import", csv_file(ROWS), "--out", str(tmp_path / "other.csv"))
    assert (refused.status, (tmp_path / "other.csv").exists()) == (6, False)


def test_a_dry_run_looks_for_faults_only(on, gateway, csv_file, tmp_path):
    gateway.answers = {"POST /key/bulk": {"keys": [], "valid": 2}}
    out = tmp_path / "made.csv"
    ended = on("keys", "import", csv_file(ROWS), "--dry-run", "--out", str(out))
    assert (ended.out, ended.err, out.exists()) == ("", "2 keys valid: nothing was created.\n", False)
    assert gateway.asked[0].body["dry_run"] is True


@cases(
    ("text", "said"),
    [
        ("alias,colour\na,b\n", "'colour'"),
        ("alias,max-budgett\na,5\n", "column 'max-budgett': did you mean max-budget?"),
        ("rpm,rpm_limit\n5,6\n", "column 'rpm_limit' is there twice"),
        ("", "no row"),
        ("alias\n", "no row"),
        ("rpm\n5\nmany\n", "line 3: rpm: 'many'"),
        ("alias,rpm\na\n", "line 2: it has not as many cells"),
        ("alias\na,b\n", "line 2: it has not as many cells"),
        ("allow-unpriced\nmaybe\n", "line 2: allow-unpriced: 'maybe'"),
        ('alias\n"a\n', "this is no CSV"),
        ("metadata\n{\n", "line 2: metadata: this is no JSON"),
    ],
)
def test_a_fault_is_told_by_line_before_anything_is_asked(on, gateway, csv_file, text, said):
    ended = on("keys", "import", csv_file(text))
    assert (ended.status, ended.out, gateway.asked) == (6, "", [])
    assert said in ended.err


def test_another_encoding_is_said(on, gateway, csv_file):
    ended = on("keys", "import", csv_file("alias\nÄ\n", "latin-1"))
    assert (ended.status, gateway.asked) == (6, [])
    assert "UTF-8" in ended.err


def test_a_fault_that_the_gateway_finds_is_told_by_line_too(on, gateway, csv_file):
    faults = [{"index": 0, "field": "max_budget", "detail": "no dollars"}, {"index": 2, "detail": "no glob"}]
    gateway.answers = {"POST /key/bulk": (400, {"detail": "2 keys have a fault", "faults": faults})}
    ended = on("keys", "import", csv_file('alias,metadata\na,\nb,"{\n}"\nc,\n'))
    said = ["line 2: no dollars.", "line 5: no glob.", "no key was created."]
    assert (ended.status, ended.err.splitlines()) == (6, [f"gatekeeper: {line}" for line in said])
