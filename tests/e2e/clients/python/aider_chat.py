"""aider, from the command line."""

import os
import subprocess
import sys
from pathlib import Path

from driver import BASE, KEY, operation, run

# recipe
os.environ |= {"GEMINI_API_BASE": f"{BASE}/v1beta", "GEMINI_API_KEY": KEY}
ARGUMENTS = ["--model", "gemini/gemini-2.5-flash"]
# end of recipe
QUIET = [
    "--no-git",
    "--no-check-update",
    "--no-show-model-warnings",
    "--no-pretty",
    "--yes-always",
    "--map-tokens",
    "0",
]
QUIET += ["--analytics-disable", "--no-gitignore", "--no-show-release-notes", "--no-detect-urls"]


def said(text, *more):
    command = [str(Path(sys.executable).with_name("aider")), *ARGUMENTS, *QUIET, *more, "--message", text]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=110, check=False
    )
    return {"status": done.returncode, "said": done.stdout}


@operation
def message():
    return said("Tell me of bees")


@operation
def message_without_stream():
    return said("Tell me of bees", "--no-stream")


run()
