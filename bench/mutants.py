"""Puts small faults into what reads usage and computes costs, one at a time, and looks whether the tests
notice.

Prints the survivors, and ends with 1 if fewer than 95 % were killed. Those in `mutants.toml` were judged, and
are not run: no test can tell them from the original, for the reason given there.

The tests are collected once. For each mutant a child process is forked, in which the code of one function is
replaced, and the tests that call it run, quickest first, until one fails. Not mutated: what is executed at
import (tables, fields of classes), and the wording of messages.
"""

import argparse
import ast
import importlib
import os
import signal
import sys
import time
import tomllib
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import NamedTuple

import pytest
from mutations import Mutation, mutated, mutations

ROOT = Path(__file__).parents[1]
TARGETS = (
    "gatekeeper/gemini/usage.py",
    "gatekeeper/gemini/usage_document.py",
    "gatekeeper/gemini/token_usage.py",
    "gatekeeper/gemini/usage_faults.py",
    "gatekeeper/gemini/json_values.py",
    "gatekeeper/gemini/grounding.py",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "gatekeeper/pricing").glob("*.py"))),
)
TESTS = (
    "tests/pricing",
    "tests/gemini/test_json_values.py",
    "tests/gemini/test_stream_usage.py",
    "tests/gemini/test_usage.py",
    "tests/gemini/test_usage_notes.py",
    "tests/gemini/test_usage_sums.py",
    "tests/gemini/test_live.py",
    "tests/gemini/test_billed_units.py",
    "tests/gemini/test_response_parser.py",
    "tests/proxy/test_call_accounting.py",
)
# The project's own options would share the tests out and shuffle them.
WITHOUT = ("terminal", "xdist", "randomly", "cacheprovider", "pytest_cov")
OPTIONS = (
    "-o",
    "addopts=",
    "--import-mode=importlib",
    "--hypothesis-seed=0",
    *(f"-pno:{w}" for w in WITHOUT),
)
QUICK = ("-m", "not hypothesis", "--ignore=tests/pricing/test_oracles.py")
JUDGED = Path(__file__).parent / "mutants.toml"
# A mutant that takes longer has made a loop endless, which is noticed.
SECONDS = 60
CACHED = type(cache(len))
KILLED, SURVIVED, BROKEN = 0, 1, 2
REQUIRED = 95.0


class Mutant(NamedTuple):
    file: str
    mutation: Mutation

    @property
    def name(self) -> str:
        return f"{self.file}: {self.mutation.function}: {self.mutation.change}"


class Runner:
    """A pytest plugin that takes the place of its loop."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self.mutants = mutants
        self.survivors: list[Mutant] = []
        self.failed = self.has_run = False

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        # Not before pytest, which rewrites its assertions.
        from hypothesis import Phase, settings

        # A test that fails need not find the smallest example.
        settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("mutants")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        called = self.trace(session)
        for number, mutant in enumerate(self.mutants, 1):
            items = called.get((mutant.file, mutant.mutation.function), [])
            if number % 100 == 0:
                report(f"{number} of {len(self.mutants)}")
            if not self.is_killed(mutant, [session.items[place] for place in items]):
                self.survivors.append(mutant)
                report(f"{number}/{len(self.mutants)} survived ({len(items)} tests): {mutant.name}")
        self.has_run = True
        return True

    def trace(self, session: pytest.Session) -> dict[tuple[str, str], list[int]]:
        """By file and function: the tests that call it, quickest first."""
        reading, writing = os.pipe()
        if not os.fork():
            os.close(reading)
            _quiet()
            with os.fdopen(writing, "w") as results:
                for place, item in enumerate(session.items):
                    began = time.perf_counter()
                    for file, function in sorted(self.calls_of(item)):
                        results.write(f"{time.perf_counter() - began:.4f}\t{place}\t{file}\t{function}\n")
            os._exit(3 if self.failed else 0)
        os.close(writing)
        with os.fdopen(reading) as results:
            rows = [line.rstrip("\n").split("\t") for line in results]
        if os.waitstatus_to_exitcode(os.wait()[1]):
            raise SystemExit("the tests fail without a mutation")
        found: dict[tuple[str, str], list[int]] = {}
        for _, place, file, function in sorted(rows, key=lambda row: float(row[0])):
            found.setdefault((file, function), []).append(int(place))
        return found

    def calls_of(self, item: pytest.Item) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        prefix = f"{ROOT}/"

        def note(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            if event == "call" and code.co_filename.startswith(prefix):
                name = code.co_qualname.partition(".<locals>")[0]
                found.add((code.co_filename.removeprefix(prefix), name))

        forget()
        sys.setprofile(note)
        self.run(item)
        sys.setprofile(None)
        return found

    def run(self, item: pytest.Item) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def is_killed(self, mutant: Mutant, items: list[pytest.Item]) -> bool:
        child = os.fork()
        if not child:
            _quiet()
            os._exit(self.outcome(mutant, items))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended == BROKEN:
            raise SystemExit(f"cannot be run: {mutant.name}")
        # What ends by a signal was noticed.
        return ended != SURVIVED

    def outcome(self, mutant: Mutant, items: list[pytest.Item]) -> int:
        try:
            apply(mutant)
        except Exception:  # noqa: BLE001  says the parent
            return BROKEN
        signal.alarm(SECONDS)
        for item in items:
            self.run(item)
            if self.failed:
                return KILLED
        return SURVIVED


def apply(mutant: Mutant) -> None:
    """Replaces the code of the mutant's function, and forgets what functions remember of their results."""
    path = ROOT / mutant.file
    tree = mutated(path.read_text("utf-8"), mutant.mutation.index)
    code = compile(tree, str(path), "exec")
    module = importlib.import_module(mutant.file.removesuffix(".py").replace("/", "."))
    function = _function(module, mutant.mutation.function)
    names = mutant.mutation.function.split(".")
    function.__code__ = _code(code, names)
    _set_defaults(function, tree, names)
    forget()


def forget() -> None:
    """Clears what functions remember of their results."""
    for name, loaded in list(sys.modules.items()):
        if name.startswith(("gatekeeper.", "pricing.")):
            for value in vars(loaded).values():
                # Some attributes are stand-ins for what is there in a request only.
                if type(value) is CACHED:
                    value.cache_clear()


def _function(module: ModuleType, path: str) -> FunctionType:
    found: object = module
    for name in path.split("."):
        found = vars(found)[name]
    found = getattr(found, "__func__", getattr(found, "fget", found))
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    assert isinstance(found, FunctionType)
    return found


def _code(code: CodeType, path: list[str]) -> CodeType:
    for name in path:
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    return code


def _set_defaults(function: FunctionType, tree: ast.Module, path: list[str]) -> None:
    """Those of the mutated function: plain values, and names of its module."""
    node: ast.Module | ast.stmt = tree
    for name in path:
        node = next(each for each in node.body if getattr(each, "name", None) == name)
    assert isinstance(node, ast.FunctionDef)
    values = [eval(ast.unparse(each), dict(function.__globals__)) for each in node.args.defaults]
    function.__defaults__ = tuple(values) or None
    function.__kwdefaults__ = {
        argument.arg: eval(ast.unparse(each), dict(function.__globals__))
        for argument, each in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if each is not None
    } or None


def _quiet() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def report(line: str) -> None:
    os.write(sys.__stderr__.fileno(), f"{line}\n".encode())


def all_mutants(only: str) -> list[Mutant]:
    return [
        Mutant(file, mutation)
        for file in TARGETS
        if only in file
        for mutation in mutations((ROOT / file).read_text("utf-8"))
        if mutation.function and _is_in_function(file, mutation)
    ]


def _is_in_function(file: str, mutation: Mutation) -> bool:
    """Fields of classes are executed at import."""
    tree: ast.Module | ast.stmt = ast.parse((ROOT / file).read_text("utf-8"))
    for name in mutation.function.split("."):
        tree = next(each for each in tree.body if getattr(each, "name", None) == name)
    return isinstance(tree, ast.FunctionDef)


def judged() -> dict[str, str]:
    """The reason by the mutant's name."""
    if not JUDGED.exists():
        return {}
    document = tomllib.loads(JUDGED.read_text("utf-8"))
    return {name: group["why"] for group in document["equivalent"] for name in group["mutants"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of a file's path")
    parser.add_argument("--quick", action="store_true", help="without the slow tests: a quick first look")
    parser.add_argument("--again", type=Path, help="an earlier output: only what survived there")
    given = parser.parse_args()
    os.chdir(ROOT)
    known = judged()
    mutants = [mutant for mutant in all_mutants(given.only) if mutant.name not in known]
    if given.again:
        earlier = given.again.read_text("utf-8")
        mutants = [mutant for mutant in mutants if mutant.name in earlier]
    runner = Runner(mutants)
    pytest.main([*OPTIONS, *(QUICK if given.quick else ()), *TESTS], plugins=[runner])
    if not runner.has_run:
        raise SystemExit("pytest did not get to the tests: see `pytest " + " ".join(TESTS) + "`")
    survived = runner.survivors
    killed = 100 * (1 - len(survived) / len(mutants))
    print(f"{len(mutants)} mutants beside those judged, {killed:.1f} % killed")
    for mutant in survived:
        print(f"{mutant.name} (line {mutant.mutation.line})")
    return 0 if killed >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
