#!/usr/bin/env bash
# LiteLLM 1.109.1 ends a budget of "30d" on the first of the next month, and one of "7d" on the next Monday; other
# numbers of days count from today. So a budget of 30 days that is set on the 30th is whole again a day or two later,
# and "30d" and "31d" differ by up to a month.
#
# Output, and exit status 0 where that is so, 1 where the package does otherwise; each budget was set on Friday,
# 2026-01-30 at 15:00:
#   30d: 2026-02-01
#   31d: 2026-03-02
#   29d: 2026-02-28
#   7d: 2026-02-02
#   8d: 2026-02-07
#   1mo: 2026-02-01
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litellm==1.109.1
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
from datetime import datetime, timezone

from litellm.litellm_core_utils.duration_parser import get_next_standardized_reset_time

set_at = datetime(2026, 1, 30, 15, tzinfo=timezone.utc)
for duration in ("30d", "31d", "29d", "7d", "8d", "1mo"):
    print(f"{duration}: {get_next_standardized_reset_time(duration, set_at):%Y-%m-%d}")
PYTHON
cat "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
