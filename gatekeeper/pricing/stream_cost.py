"""The cost of a stream after each of its events, without a full calculation for each. Pure.

While only the output tokens change, the cost of a call is linear in them: all are priced as one component,
because the prompt and the tier, which determine the price, stay the same. So two known costs give every later
one exactly.
"""

from __future__ import annotations

from collections.abc import Callable


class StreamCost:
    """The costs of one stream, in pico-dollars."""

    __slots__ = ("_output", "_pico", "_rest", "_token_pico")

    def __init__(self) -> None:
        self._rest: object = None
        self._output = self._pico = 0
        self._token_pico: int | None = None  # None until two costs are known

    def at(self, output: int, rest: object, calculate: Callable[[], int]) -> int:
        """The cost at this number of output tokens, at least one; `rest` is everything else that it depends
        on. `calculate` is called if the cost does not follow from earlier ones."""
        if rest != self._rest:
            self._rest, self._token_pico = rest, None
            self._output, self._pico = output, calculate()
            return self._pico
        grown = output - self._output
        if self._token_pico is None and grown:
            # Exact: the difference of two costs is a number of tokens times one price.
            self._token_pico = (calculate() - self._pico) // grown
        return self._pico + grown * (self._token_pico or 0)
