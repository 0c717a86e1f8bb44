"""What a gateway has loaded decides how soon it answers, and what memory it takes while it only relays calls
(`bench/start.py` measures both)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rig.process import environment, free_port

NEVER = ("textual", "rich", "structlog", "gatekeeper.client", "gatekeeper.reconcile", "tui")
ADMIN = ("quart", "flask", "jinja2", "werkzeug", "gatekeeper.openapi", "gatekeeper.admin.app")
# Serves in its main thread, and asks itself in another one.
ASK_ITSELF = """
import json, os, signal, sys, threading, time
from http.client import HTTPConnection

port, modules = int(sys.argv[1]), sys.argv[2].split(",")
loaded = {}

def ask(method, path, body=None):
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body)
    return connection.getresponse().status

def asked(name, *requests):
    statuses = [ask(*request) for request in requests]
    loaded[name] = [*statuses, *[name for name in modules if name in sys.modules]]

def watch():
    while True:
        try:
            HTTPConnection("127.0.0.1", port, timeout=20).connect()
            break
        except OSError:
            time.sleep(0.01)
    asked("probed", ("GET", "/healthz"), ("GET", "/readyz"))
    asked("called", ("POST", "/gemini/v1beta/models/gemini-2.5-flash:generateContent", '{"contents":[]}'))
    asked("asked", ("GET", "/key/list"))
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=watch, daemon=True).start()
from gatekeeper.cli.main import run
status = run(["serve", "--sandbox", "--port", str(port)])
print("LOADED", json.dumps(loaded))
"""


def test_a_gateway_loads_the_admin_api_and_duckdb_when_they_are_asked_for(tmp_path: Path) -> None:
    words = [str(free_port()), ",".join((*NEVER, *ADMIN, "duckdb"))]
    ended = subprocess.run(
        [sys.executable, "-c", ASK_ITSELF, *words],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = json.loads(ended.stdout.rpartition("LOADED ")[2])
    assert loaded["probed"] == [200, 200]
    # DuckDB is loaded some time after the first call, beside it.
    assert [each for each in loaded["called"] if each != "duckdb"] == [400]
    assert loaded["asked"][0] == 200
    assert set(ADMIN) <= set(loaded["asked"])
