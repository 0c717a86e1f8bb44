"""A table of cases as one test.

An item of pytest costs some 2 ms: each worker collects it, the hooks of all plugins and three reports go with
it. Most functions answer in microseconds. A gateway and its first call cost some 15 ms, each request after
that 1 or 2.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from itertools import product
from reprlib import Repr
from typing import Any, NamedTuple

import pytest

Check = Callable[..., Awaitable[None] | None]
Arguments = dict[str, Any]

MARKED = type(pytest.param())
TEXT = Repr()
TEXT.maxstring = TEXT.maxother = 200  # characters


class Case(NamedTuple):
    arguments: Arguments
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        given = ", ".join(f"{name}={TEXT.repr(value)}" for name, value in self.arguments.items())
        return " | ".join((*self.names, given))


def cases(
    names: str | Iterable[str], table: Iterable[Any], ids: Iterable[str] = ()
) -> Callable[[Check], Check]:
    """In place of `pytest.mark.parametrize`: the test goes through the whole table, and raises what the cases
    that fail have raised, each with its arguments, and its name if it has one. Above another table each case
    is combined with all of the other.

    The cases share their fixtures: these have to be after a case what they were before. One that is told when
    a case begins (`begin_case`), as those of `rig.gateway` and `rig.standin`, begins it without the calls of
    the cases before; keys, spend and resources stay.
    """
    named = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    table = [*table]
    rows = [_case(named, *each) for each in zip(table, [*ids] or [None] * len(table), strict=True)]

    def decorated(test: Check) -> Check:
        check, below = getattr(test, "table", (test, [Case({})]))
        combined = [
            Case(one.arguments | other.arguments, one.names + other.names)
            for one, other in product(rows, below)
        ]
        assert combined, f"{check.__name__} has no cases"
        return _one_test(check, combined)

    return decorated


def _case(named: list[str], row: Any, name: str | None) -> Case:
    if isinstance(row, MARKED):
        assert not row.marks, "a mark is for a whole test"
        name, row = str(row.id), row.values if len(named) > 1 else row.values[0]
    values = row if len(named) > 1 else [row]
    return Case(dict(zip(named, values, strict=True)), (name,) if name else ())


def _one_test(check: Check, table: list[Case]) -> Check:
    @wraps(check)
    def test(**fixtures: Any) -> None:
        _raise([error for case in table if (error := _failure(check, case, fixtures))], len(table))

    @wraps(check)
    async def asynchronous(**fixtures: Any) -> None:
        told = [each.begin_case for each in fixtures.values() if hasattr(each, "begin_case")]
        failed: list[BaseException] = []
        for case in table:
            for begin in told:
                await begin()
            if error := await _async_failure(check, case, fixtures):
                failed.append(error)
        _raise(failed, len(table))

    test = asynchronous if inspect.iscoroutinefunction(check) else test
    parameters = inspect.signature(check).parameters
    fixtures = [each for name, each in parameters.items() if name not in table[0].arguments]
    test.__signature__ = inspect.Signature(fixtures)  # type: ignore[attr-defined]
    test.table = check, table  # type: ignore[attr-defined]
    return test


def _raise(failed: list[BaseException], count: int) -> None:
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} of {count} cases", failed)


def _failure(check: Check, case: Case, fixtures: Arguments) -> BaseException | None:
    try:
        check(**case.arguments, **fixtures)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001
        error.add_note(f"in the case {case}")
        return error
    return None


async def _async_failure(check: Check, case: Case, fixtures: Arguments) -> BaseException | None:
    try:
        await check(**case.arguments, **fixtures)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001
        error.add_note(f"in the case {case}")
        return error
    return None
