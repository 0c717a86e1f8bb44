"""Files that the user asks for: new ones only, which nobody else can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO


def create(path: Path) -> IO[str]:
    """A new file of mode 0600, open for writing. Raises OSError, FileExistsError where there is one."""
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # Line ends are the writer's: CSV has its own.
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
