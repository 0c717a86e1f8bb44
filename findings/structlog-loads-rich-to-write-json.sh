#!/usr/bin/env bash
# `import structlog` loads rich and Pygments where they are installed, and asyncio, whatever is logged. 25.1.0, 26.1.0.
#
# `structlog/__init__.py` imports `structlog.dev`, and that imports rich, for tracebacks on a terminal, if it can. A
# process that writes one line of JSON has over a hundred modules more than with `logging` and `json`, among them all of
# rich's console; measured in an idle server on Python 3.11: 5 MB and 60 ms of CPU. Neither a submodule (importing one
# runs `__init__` first) nor a setting avoids it, and rich is installed by any terminal application beside it.
#
# Output, and exit status 0 where that is so, 1 where structlog does otherwise:
#   25.1.0 {"event": "seen"} asyncio, pygments, rich; over 100 modules more: True
#   26.1.0 {"event": "seen"} asyncio, pygments, rich; over 100 modules more: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
import io
import json
import logging
import sys
from importlib.metadata import version

before = set(sys.modules)
import structlog

written = io.StringIO()
structlog.configure([structlog.processors.JSONRenderer()], logger_factory=structlog.WriteLoggerFactory(written))
structlog.get_logger().info("seen")
more = set(sys.modules) - before
loaded = ", ".join(sorted({"asyncio", "pygments", "rich"} & more))
print(version("structlog"), written.getvalue().strip(), f"{loaded}; over 100 modules more: {len(more) > 100}")
PYTHON
for release in 25.1.0 26.1.0; do
  python3 -m venv "$folder/$release"
  "$folder/$release/bin/pip" install -q "structlog==$release" "rich==15.0.0"
  "$folder/$release/bin/python" "$folder/look.py"
done | tee "$folder/seen"
sed -n 's/^#   \(2[56]\.1\.0 .*\)/\1/p' "$0" | diff - "$folder/seen"
