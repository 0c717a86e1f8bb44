#!/usr/bin/env bash
# DuckDB 1.5.5 and 2.0.1 take twice as long for `unnest(from_json(?, …))` as for the same text in a list.
#
# A function of nothing but parameters and constants is evaluated while the query is planned, and becomes a
# constant. Here that is a list of thousands of structs, of which each member is a boxed value, to be unpacked
# again when the query runs. With the parameter in a list that is unnested (`FROM (SELECT unnest([?]) AS text)`)
# the text is read when the query runs, in vectors.
#
# The times are CPU, the least of nine runs each, of 2,000 objects with 40 members. Output, and exit status 0 where
# that is so, 1 where DuckDB does otherwise:
#   1.5.5 a parameter alone takes over 1.5 times as long as one in a list: True
#   2.0.1 a parameter alone takes over 1.5 times as long as one in a list: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import json
import time

import duckdb

MEMBERS = {f"member_{number}": "VARCHAR" if number % 2 else "BIGINT" for number in range(40)}
TEXT = json.dumps([{name: number for number, name in enumerate(MEMBERS)} for _ in range(2000)])
FORM = json.dumps([MEMBERS])
COUNTS = ", ".join(f"count(item.{name})" for name in MEMBERS)
ALONE = f"(SELECT unnest(from_json(?, '{FORM}')) AS item)"
IN_A_LIST = f"(SELECT unnest(from_json(text, '{FORM}')) AS item FROM (SELECT unnest([?]) AS text))"
database = duckdb.connect(config={"threads": 1})


def seconds(source):
    times = []
    for _ in range(9):
        begun = time.process_time()
        (counts,) = database.execute(f"SELECT {COUNTS} FROM {source}", [TEXT]).fetchall()
        times.append(time.process_time() - begun)
    assert counts == (2000,) * 40
    return min(times)


longer = seconds(ALONE) > 1.5 * seconds(IN_A_LIST)
print(f"{duckdb.__version__} a parameter alone takes over 1.5 times as long as one in a list: {longer}")
PYTHON
for version in 1.5.5 2.0.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "duckdb==$version"
  "$folder/$version/bin/python" "$folder/look.py"
done | tee "$folder/seen"
sed -n 's/^#   \([12]\.[0-9]\.[0-9] .*\)/\1/p' "$0" | diff - "$folder/seen"
