"""A real terminal: a tmux session with one program in it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from rig.process import PATIENCE


class Terminal:
    """A tmux session with one program in it, on a server of its own."""

    def __init__(self, name: str, width: int, height: int, command: str) -> None:
        self.server = ("tmux", "-L", name, "-f", "/dev/null")
        self.tmux("new-session", "-d", "-s", "t", "-x", str(width), "-y", str(height), command)

    def tmux(self, *words: str) -> str:
        # pytest loads readline, which exports the size of pytest's own terminal.
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        return subprocess.run(
            [*self.server, *words], capture_output=True, text=True, check=True, env=env
        ).stdout

    def restart(self) -> None:
        """Starts the program anew, which is `rig.warm.repeated`. The screen is clean before."""
        process, starts = self._state()
        os.kill(process, signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE
        while self._state()[1] == starts:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _state(self) -> tuple[int, str]:
        """Of `rig.warm.repeated`: its process, and the title that it has given the terminal."""
        process, title = self.tmux("display-message", "-p", "-t", "t", "#{pane_pid} #{pane_title}").split()
        return int(process), title

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "t")

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "t", *keys)

    def close(self) -> None:
        """Ends its server, and the program with it."""
        subprocess.run([*self.server, "kill-server"], capture_output=True, check=False)

    def shows(self, wanted: str | Callable[[str], object]) -> str:
        """The screen, once it has a text or fits."""
        fits = wanted if callable(wanted) else lambda screen: wanted in screen
        deadline = time.monotonic() + PATIENCE
        while not fits(screen := self.screen()):
            assert time.monotonic() < deadline, f"still waiting for {wanted!r} in\n{screen}"
            time.sleep(0.05)
        return screen
