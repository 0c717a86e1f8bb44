"""How long `gatekeeper prices reprice` takes for a million rows, without a gateway: most change, then none.

    python bench/reprice.py [ROWS] [DIFFERENT]

DIFFERENT is the number of different usages; by default as many as rows, which is the worst case.
DuckDB makes the rows in a temporary folder; 3 % are of failed calls, and as many of a model without a price.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from gatekeeper.ledger.analytics.database import Database

COMMAND = [sys.executable, "-m", "gatekeeper", "prices", "reprice", "--since", "2026-01-01"]
NOWHERE = "http://127.0.0.1:9"  # the discard port: no gateway listens there
INSERT = """
    INSERT INTO file.calls (id, started_at, duration_ms, key_id, tags, method, path, action, model,
        model_version, stream, status, outcome, prompt_tokens, output_tokens, total_tokens, usage,
        service_tier, cost_usd, price_version, request_bytes, response_bytes)
    SELECT uuid(), TIMESTAMPTZ '2026-10-01 00:00:00Z' + INTERVAL (i % 5000000) SECOND, 12.5, 'key_' || i % 50,
        ['team-a', 'nightly'], 'POST', '/v1beta/models/' || model || ':generateContent', 'generateContent',
        model, model, false, if(i % 31 = 0, 429, 200), if(i % 31 = 0, 'upstream_error', 'ok'),
        prompt, 100, prompt + 100, CAST('{"promptTokenCount": ' || prompt
        || ', "candidatesTokenCount": 100, "totalTokenCount": ' || prompt + 100
        || ', "promptTokensDetails": [{"modality": "TEXT", "tokenCount": ' || prompt || '}]}' AS JSON),
        'standard', if(i % 31 = 0, 0, 0.5), if(i % 31 = 0, NULL, 'an earlier one'), 2000, 1000
    FROM (SELECT i, i % ? AS prompt, CASE WHEN i % 33 = 0 THEN 'gemini-unheard-of'
          ELSE (['gemini-2.5-flash', 'gemini-3-flash-preview', 'gemini-2.5-pro'])[i % 3 + 1] END AS model
          FROM range(?) AS numbers(i))
"""


def make_rows(folder: Path, rows: int, different: int) -> None:
    database = Database(folder, "1GB")
    database.attach()
    database.con.execute(INSERT, [different, rows])
    database.close()


def seconds(folder: Path) -> tuple[float, str]:
    """How long one run takes, from the start of the process to its end, and its first line."""
    started = perf_counter()
    done = subprocess.run(
        [*COMMAND, "--url", NOWHERE, "--data", str(folder)], check=True, capture_output=True, text=True
    )
    return perf_counter() - started, done.stdout.partition("\n")[0]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    different = int(sys.argv[2]) if len(sys.argv) > 2 else rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder, rows, different)
        for run in ("first", "second"):
            took, said = seconds(folder)
            print(f"{run} run of {rows:,} rows, {different:,} different usages: {took:.1f} s; {said}")


if __name__ == "__main__":
    main()
