"""llm, from the command line, over Google's OpenAI-style routes."""

import os
import subprocess
import sys
from pathlib import Path

from driver import BASE, KEY, operation, run

os.environ["LLM_USER_PATH"] = str(Path.home() / "llm")
Path.home().joinpath("llm").mkdir(exist_ok=True)
# recipe
Path(os.environ["LLM_USER_PATH"], "extra-openai-models.yaml").write_text(f"""\
- model_id: flash
  model_name: gemini-2.5-flash
  api_base: {BASE}/v1beta/openai
  api_key_name: gatekeeper
""")
ARGUMENTS = ["-m", "flash", "--key", KEY]
# end of recipe


def said(text, *more):
    command = [str(Path(sys.executable).with_name("llm")), "prompt", *ARGUMENTS, *more, text]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return {"status": done.returncode, "said": done.stdout, "error": done.stderr}


@operation
def prompt():
    return said("Tell me of bees", "--no-stream")


@operation
def stream():
    return said("Tell me of bees")


@operation
def error_400():
    return said("!400")


run()
