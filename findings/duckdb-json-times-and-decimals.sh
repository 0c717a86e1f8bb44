#!/usr/bin/env bash
# DuckDB's read_json gives the same file another type, and a declared decimal another value, in 1.5.5 and 2.0.1.
#
# - A time in ISO 8601 with `Z`, whose type is not declared, is a TIMESTAMP (UTC, without a zone) in 1.5.5 and a
#   TIMESTAMP WITH TIME ZONE in 2.0.1. A view or table made from such a file changes its type with the version,
#   and what compares or casts it may depend on the session's zone from then on.
# - A JSON number in a column that is declared DECIMAL(18,12) goes through a double in 1.5.5: from some 16 digits
#   on it is another amount, without an error or a warning. 2.0.1 reads it exactly. A JSON string is exact in
#   both, so money that both must read belongs into strings.
#
# Output, and exit status 0 where that is so, 1 where DuckDB does otherwise:
#   1.5.5 2026-11-28T12:00:00Z is TIMESTAMP
#   1.5.5 number 123456.123456789012 is 123456.123456789008, string 123456.123456789012
#   2.0.1 2026-11-28T12:00:00Z is TIMESTAMP WITH TIME ZONE
#   2.0.1 number 123456.123456789012 is 123456.123456789012, string 123456.123456789012
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import sys

import duckdb

TIME, NUMBER = "2026-11-28T12:00:00Z", "123456.123456789012"
DECLARED = "columns = {number: 'DECIMAL(18,12)', string: 'DECIMAL(18,12)'}"
file = sys.argv[1]
with open(file, "w") as rows:
    rows.write('{"happened": "%s", "number": %s, "string": "%s"}\n' % (TIME, NUMBER, NUMBER))
database = duckdb.connect()
((kind,),) = database.execute(f"SELECT typeof(happened) FROM read_json('{file}')").fetchall()
texts = "CAST(number AS VARCHAR), CAST(string AS VARCHAR)"
((number, string),) = database.execute(f"SELECT {texts} FROM read_json('{file}', {DECLARED})").fetchall()
print(f"{duckdb.__version__} {TIME} is {kind}")
print(f"{duckdb.__version__} number {NUMBER} is {number}, string {string}")
PYTHON
for version in 1.5.5 2.0.1; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install -q "duckdb==$version"
  "$folder/$version/bin/python" "$folder/look.py" "$folder/rows.json"
done | tee "$folder/seen"
sed -n 's/^#   \([12]\.[0-9]\.[0-9] .*\)/\1/p' "$0" | diff - "$folder/seen"
