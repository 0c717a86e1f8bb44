"""`rig.cases`, which most tests of functions rest on: no case is left out, and each that fails is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.cases import cases


def notes(*errors: BaseException) -> list[str]:
    return [note for error in errors for note in error.__notes__]


def test_all_that_fail_are_raised_with_their_arguments() -> None:
    @cases("right", [1, 2])
    @cases(("left", "text"), [(1, "a"), pytest.param(2, "b", id="two")])
    def equal(left: int, right: int, text: str) -> None:
        with pytest.raises(ZeroDivisionError):
            _ = 1 // (left - right)

    with pytest.raises(BaseExceptionGroup, match="2 of 4 cases") as raised:
        equal()
    assert notes(*raised.value.exceptions) == [
        "in the case two | right=1, left=2, text='b'",
        "in the case right=2, left=1, text='a'",
    ]


def test_one_that_fails_is_raised_as_it_is() -> None:
    @cases("number", range(100), ids=map(str, range(100)))
    def small(number: int) -> None:
        assert number < 99

    with pytest.raises(AssertionError) as raised:
        small()
    assert notes(raised.value) == ["in the case 99 | number=99"]


@cases("name", ["a", "b"])
def test_fixtures_are_those_of_the_test(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert (tmp_path / "a").exists()


def test_a_table_without_cases_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="no cases"):
        cases("name", [])(notes)
