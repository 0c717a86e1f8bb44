"""The keys and values of a price file: which keys exist, the format of each value, and the messages for
invalid ones. Pure.

The keys of prices in a row are component names, or shorthands for the price of every modality that a model
accepts (`input`, `cached`, `embedding`, `live_input`) or of text (`output`, `live_output`). A price is a
decimal string for the component's unit (`price_components`): a million tokens or token-hours, a thousand
searches, a second, a piece.

Functions that parse a value raise ValueError with a message for the user: what was found, and what is
allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import cast

from gatekeeper.money import pico
from gatekeeper.pricing.price_components import COMPONENTS, unit_of
from gatekeeper.pricing.tariff import MODALITIES, TIERS, Modality, Tariff
from gatekeeper.suggestions import did_you_mean

TOP_LEVEL_KEYS = ("version", "checked", "currency", "aliases", "models")
ENTRY_KEYS = ("ids", "source", "note", "inputs", "prices")
ROW_KEYS = ("tier", "context", "from", "to", "confidence")
STEP_KEYS = ("from", "model")
CONFIDENCE = ("likely", "doubtful")

# Kinds with a price per modality, as a key and as the prefix of components
KINDS = {
    "input": "input_",
    "cached": "cached_",
    "embedding": "embedding_input_",
    "live_input": "live_input_",
}
OUTPUTS = {
    "output": "output_text",
    "live_output": "live_output_text",
    "output_thinking": "output_text_thinking",
    "output_not_thinking": "output_text_not_thinking",
}
_EMBEDDINGS = {f"embedding_{name}": f"embedding_input_{name}" for name in MODALITIES}
PRICE_KEYS = (*KINDS, *OUTPUTS, *_EMBEDDINGS, *COMPONENTS)

_PRICE = re.compile(r"\d{1,6}(\.\d{1,12})?\Z", re.ASCII)
_ID = re.compile(r"[a-z0-9.*-]+\Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_CONTEXT = re.compile(r"(<=|>)(\d{1,5})k\Z", re.ASCII)


def unknown_key(key: str, allowed: Collection[str]) -> str:
    """The message for an unknown key: suggests a similar one, or lists all."""
    return f"unknown key {key!r}; " + did_you_mean(key, allowed, f"allowed: {', '.join(allowed)}")


def found(value: object) -> str:
    """A value as messages show it; None stands for a missing one, as TOML has no null."""
    return "missing" if value is None else repr(value)


def text_of(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  a fault in a file
            f'{key} is {found(value)}; allowed: a text in quotes, such as {key} = "…"'
        )
    return value


def word_of(key: str, value: object, allowed: Collection[str]) -> str:
    """One of several words."""
    word = text_of(key, value)
    if word not in allowed:
        guess = did_you_mean(word, allowed)
        raise ValueError(f"{key} is {word!r}; {guess}{' ' if guess else ''}allowed: {', '.join(allowed)}")
    return word


def id_of(_: str, value: object) -> str:
    if not (isinstance(value, str) and _ID.match(value)):
        raise ValueError(f"{value!r} is no id of a model; one has only a-z 0-9 . - and * (for anything)")
    return value


def day_of(key: str, value: object) -> date:
    """A day, in quotes or as TOML's own."""
    # In Python a datetime is a date, too, and TOML has both.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        # The pattern, because since Python 3.11 `fromisoformat` also accepts 20261124 and 2026-W48-2.
        if isinstance(value, str) and _DAY.match(value):
            return date.fromisoformat(value)
    except ValueError:  # not in the calendar
        pass
    said = "missing" if value is None else repr(str(value))
    raise ValueError(f'`{key}` is {said}; allowed: a day such as "2026-11-24"')


def context_of(value: object) -> tuple[int, int | None]:
    """The bounds of a context in tokens: above the first, up to the second (None: unbounded)."""
    match = _CONTEXT.match(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f'context is {value!r}; allowed: "<=200k" or ">200k" (any number), or no context')
    tokens = int(match[2]) * 1000
    return (-1, tokens) if match[1] == "<=" else (tokens, None)


def modalities_of(key: str, value: object) -> tuple[Modality, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    if not items or any(item not in MODALITIES for item in items):
        raise ValueError(f"{key} is {value!r}; allowed: a list of some of {', '.join(MODALITIES)}")
    return tuple(cast("list[Modality]", items))


def tariff_of(row: dict[str, object], inputs: tuple[Modality, ...], *, own: bool) -> Tariff:
    """Parses a row. Raises RowError with all its faults."""
    wrong: dict[str, str] = {}
    read: dict[str, object] = {}
    for key, value in row.items():
        try:
            read[key] = _value_of(key, value)
        except ValueError as error:
            wrong[key] = str(error)
    if not (row.keys() - ROW_KEYS or wrong):
        wrong[""] = "the row has no price; allowed: at least one, or no row"
    if "tier" not in row:
        wrong[""] = f"the row has no tier; allowed: {', '.join(TIERS)}"
    starts, ends = (cast("date | None", read.get(key)) for key in ("from", "to"))
    if starts and ends and starts >= ends:
        wrong["to"] = f"`from` {starts} is not before `to` {ends}, so the row never holds"
    if wrong:
        raise RowError(wrong)
    prices = _prices(cast("dict[str, int]", {key: read[key] for key in row if key not in ROW_KEYS}), inputs)
    above, up_to = cast("tuple[int, int | None]", read.get("context", (-1, None)))
    return Tariff(
        tier=str(read["tier"]),
        prices=prices,
        starts=starts or date.min,
        ends=ends or date.max,
        above=above,
        up_to=up_to,
        confidence=dict.fromkeys(prices, str(read["confidence"])) if "confidence" in read else {},
        own=frozenset(prices) if own else frozenset(),
    )


class RowError(ValueError):
    """The faults of a row by key; those of the row as a whole under the key ""."""

    def __init__(self, wrong: dict[str, str]) -> None:
        super().__init__(wrong)
        self.wrong = wrong


def _value_of(key: str, value: object) -> object:
    if key == "tier":
        return word_of(key, value, TIERS)
    if key == "confidence":
        return word_of(key, value, CONFIDENCE)
    if key == "context":
        return context_of(value)
    if key in ("from", "to"):
        return day_of(key, value)
    if key in PRICE_KEYS:
        return price_of(key, value)
    raise ValueError(unknown_key(key, (*ROW_KEYS, *PRICE_KEYS)))


def _prices(by_key: dict[str, int], inputs: tuple[Modality, ...]) -> dict[str, int]:
    """Prices by component, in pico-dollars per single unit."""
    prices: dict[str, int] = {}
    # `input_audio` overrides `input`, whatever the order in the file.
    for key in sorted(by_key, key=is_shorthand, reverse=True):
        prices.update(dict.fromkeys(components_of(key, inputs), by_key[key]))
    return prices


def components_of(key: str, inputs: Iterable[Modality]) -> tuple[str, ...]:
    """The components that `key`, one of `PRICE_KEYS`, is the price of, for a model that accepts `inputs`."""
    if key in KINDS:
        return tuple(f"{KINDS[key]}{name}" for name in inputs)
    return (OUTPUTS.get(key) or _EMBEDDINGS.get(key) or key,)


def is_shorthand(key: str) -> bool:
    """Whether `key` is the price of several components, so that the key of a single one takes precedence."""
    return key in KINDS


def price_of(key: str, value: object) -> int:
    """Parses a price into pico-dollars per single token, token-hour, search, second or piece. Raises
    ValueError with a message that says what is allowed."""
    (component,) = components_of(key, MODALITIES[:1])
    unit = unit_of(component)
    amount = pico(value) if isinstance(value, str) and _PRICE.match(value) else None
    # The unit price must be in whole pico-dollars, or each cost line would have to be rounded.
    if amount is None or amount % unit.size:
        places = 12 - (len(str(unit.size)) - 1)
        raise ValueError(
            f"{key} is {value!r}; allowed: dollars for {unit.words} in quotes, as a decimal "
            f'with at most {places} places, such as "0.30"'
        )
    return amount // unit.size
