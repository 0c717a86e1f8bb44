"""How long `gatekeeper prices reprice` takes for a million rows, without a gateway: most change, then none.

By default each row has a usage of its own, which is the worst case: rows with the same usage are priced once.
DuckDB makes the rows in a temporary folder; 3 % are of failed calls, and as many of a model without a price.
"""

from __future__ import annotations

import argparse
import json
import resource
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


def measured(folder: Path) -> dict[str, object]:
    """One run, from the start of the process to its end: seconds, of all its processes' CPU, too."""
    started, cpu = perf_counter(), children_cpu()
    words = [*COMMAND, "--json", "--url", NOWHERE, "--data", str(folder)]
    done = subprocess.run(words, check=True, capture_output=True)
    took = {"seconds": round(perf_counter() - started, 1), "cpu_seconds": round(children_cpu() - cpu, 1)}
    report = json.loads(done.stdout)
    return took | {name: report[name] for name in ("looked_at", "changed", "now_unknown", "left_alone")}


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--different", type=int, help="different usages; by default each row has its own")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rows(folder, given.rows, given.different or given.rows)
        runs = [measured(folder) for _ in range(2)]
    if given.json:
        print(json.dumps(runs))
        return
    for name, run in zip(("first", "second"), runs, strict=True):
        print(f"{name} run: {run['seconds']} s ({run['cpu_seconds']} s of CPU); {run['changed']:,} of "
              f"{run['looked_at']:,} rows changed")  # fmt: skip


if __name__ == "__main__":
    main()
