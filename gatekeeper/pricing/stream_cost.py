"""What a stream costs by each of its events, without calculating each anew. Pure.

While nothing but the tokens of its output changes, the cost of a call is linear in them: all of them are
priced as one component, because the prompt and the tier, which decide the price, do not change. So two known
costs give every later one exactly.
"""

from __future__ import annotations

from collections.abc import Callable


class StreamCost:
    """Of one stream. Costs are in pico-dollars."""

    __slots__ = ("_output", "_pico", "_rest", "_token_pico")

    def __init__(self) -> None:
        self._rest: object = None
        self._output = self._pico = 0
        self._token_pico: int | None = None  # None until two costs are known

    def at(self, output: int, rest: object, calculate: Callable[[], int]) -> int:
        """The cost with so many tokens of output, one at least; `rest` is all else that it depends on.
        `calculate` is asked where it does not follow from earlier ones."""
        if rest != self._rest:
            self._rest, self._token_pico = rest, None
            self._output, self._pico = output, calculate()
            return self._pico
        grown = output - self._output
        if self._token_pico is None and grown:
            # Exact: the difference of two costs is so many tokens times one price.
            self._token_pico = (calculate() - self._pico) // grown
        return self._pico + grown * (self._token_pico or 0)
