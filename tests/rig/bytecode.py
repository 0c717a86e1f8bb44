"""Each test module is compiled once, by one of the workers, and not by all of them at the same time.

Rewriting the assertions of all tests takes eight seconds of CPU, in each worker of a fresh checkout.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest


def keep_bytecode() -> None:
    """Here and in all processes that are started from here, whatever the environment says: what is not kept
    is compiled again by each worker, and by each gateway that a test starts."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def compile_share(config: pytest.Config) -> None:
    """In a worker: has pytest compile and store those modules of the given folders that are its share. What
    another worker has not stored yet when they are collected is compiled as ever."""
    worker: dict[str, object] | None = getattr(config, "workerinput", None)
    hook = config.pluginmanager.rewrite_hook
    if worker is None or not isinstance(hook, importlib.abc.Loader):
        return
    number, workers = int(str(worker["workerid"]).removeprefix("gw")), int(str(worker["workercount"]))
    folders = [config.invocation_params.dir / folder for folder in config.args]
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    for file in files[number::workers]:
        if not _is_stored(file):
            # A file that cannot be compiled is reported when it is collected.
            with suppress(Exception):
                hook.exec_module(_NotRun(file))  # type: ignore[arg-type]


def _is_stored(file: Path) -> bool:
    plain = importlib.util.cache_from_source(str(file)).removesuffix(".pyc")
    stored = Path(f"{plain}-pytest-{pytest.__version__}.pyc")
    return stored.exists() and stored.stat().st_mtime >= file.stat().st_mtime


class _Stored(Exception):
    """A module has been compiled and stored, and would be run next."""


class _NotRun:
    """In place of a module: it has no namespace to run code in, which the loader asks for last of all."""

    def __init__(self, file: Path) -> None:
        self.__name__ = file.stem
        self.__spec__ = ModuleSpec(file.stem, None, origin=str(file))

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise _Stored
