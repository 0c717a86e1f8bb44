"""Puts a key's secret into a file of its own, which nobody else may read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gatekeeper.client.api_types import NewKey

UNSAFE = re.compile(r"[^\w.-]+")


def save(key: NewKey, folder: Path) -> Path:
    """Writes the secret to `ALIAS.key` in the folder, mode 0600. Never over a file that is there already.

    Raises OSError where the file exists or the folder takes none.
    """
    path = folder / f"{UNSAFE.sub('-', key.label).strip('.-') or 'gatekeeper'}.key"
    # Created with its final mode: at no moment can others read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key.key}\n")
    return path
