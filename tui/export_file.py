"""Files that the terminal application writes: readable by their owner only, never in place of another."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO


def suggested_name(what: str, now: datetime, extension: str) -> str:
    """`calls-20261124-140732.csv`: sorted by time where there are many."""
    return f"{what}-{now.astimezone():%Y%m%d-%H%M%S}.{extension}"


@contextmanager
def new_file(path: Path) -> Generator[IO[bytes]]:
    """A new file, mode 0600; removed again if it cannot be completed.

    Raises FileExistsError where there is one already, OSError where it cannot be written.
    """
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
