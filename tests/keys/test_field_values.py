"""The values of policies: what each takes, and that nothing else makes a key without the limit."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import pytest
from rig.cases import cases

from gatekeeper.keys import field_values

GOOD = [
    (field_values.max_searches, False, 0),
    (field_values.max_searches, True, None),
    (field_values.max_searches, 3, 3),
    (field_values.only_unstored, False, True),
    (field_values.only_unstored, True, False),
    (field_values.service_tiers, ["Flex", " standard ", "flex"], ("flex", "standard")),
    (field_values.networks, ["10.0.0.0/8", "203.0.113.7"], ("10.0.0.0/8", "203.0.113.7/32")),
    (field_values.networks, [" 2001:DB8::/32", "::1", "::1/128"], ("2001:db8::/32", "::1/128")),
]
BAD = [
    *((field_values.max_searches, value) for value in (-1, 1.5, nan, "3", "no", [], 2**31)),
    *((field_values.only_unstored, value) for value in (0, 1, "false", [], {})),
    *((field_values.service_tiers, value) for value in ([], "flex", ["cheap"], [1], ["flex", None], {})),
    *(
        (field_values.networks, value)
        for value in (
            *([], "10.0.0.0/8", ["10.0.0.1/8"], ["10.0.0.0/33"], ["example.com"], [1], [""]),
            *(["::ffff:10.0.0.1"], ["fe80::1%eth0"], ["10.0.0.0/8", None]),
            [f"10.0.{n}.0/24" for n in range(256)] + ["::1"],
        )
    ),
]  # fmt: skip


@cases(("parse", "value", "parsed"), GOOD)
def test_a_value_is_taken(parse: Callable[[object], object], value: object, parsed: object) -> None:
    assert parse(value) == parsed


@cases(("parse", "value"), BAD)
def test_no_other_value_is(parse: Callable[[object], object], value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse(value)
