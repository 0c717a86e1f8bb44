"""What each Python client's script shares: it runs in the client's own environment, without the tests'.

A script gives its operations with `@operation` and ends with `run()`. It is pointed at whoever answers by
`BASE` and `KEY`, and knows not who that is.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import enum
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

BASE, KEY = os.environ["BASE"], os.environ["KEY"]
SECURE_BASE = os.environ["SECURE_BASE"]  # by TLS
OPERATIONS: dict[str, Callable[[], Any]] = {}
TOLD_BY_ERRORS = ("code", "status", "status_code", "details", "body", "reason", "type")


def operation(function: Callable[[], Any], name: str = "") -> Callable[[], Any]:
    """Names an operation; they are performed in the order in which a script has them."""
    OPERATIONS[name or function.__name__.replace("_", " ")] = function
    return function


def run() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a client that prints does not disturb the report
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def tell(document: object) -> None:
        report.write(json.dumps(document, sort_keys=True) + "\n")
        report.flush()

    tell({"operations": list(OPERATIONS)})
    for line in sys.stdin:
        try:
            result = OPERATIONS[line.strip()]()
            if inspect.isawaitable(result):
                result = loop.run_until_complete(result)
            if isinstance(result, AsyncIterator) and not isinstance(result, Iterator):
                result = loop.run_until_complete(collected(result))
            tell({"result": plain(result)})
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its outcome
            tell({"error": described(error)})


async def collected(items: AsyncIterator[Any]) -> dict[str, Any]:
    seen: list[Any] = []
    try:
        async for item in items:
            seen.append(plain(item))  # noqa: PERF401 - those before an error count
    except Exception as error:  # noqa: BLE001
        return {"items": seen, "then": described(error)}
    return {"items": seen}


def iterated(items: Iterator[Any]) -> dict[str, Any]:
    """What came of it one by one, and the error that ended it, if any."""
    seen: list[Any] = []
    try:
        for item in items:
            seen.append(plain(item))  # noqa: PERF401
    except Exception as error:  # noqa: BLE001
        return {"items": seen, "then": described(error)}
    return {"items": seen}


def described(error: BaseException, told_before: tuple[BaseException, ...] = ()) -> dict[str, Any]:
    """The error and its causes; CrewAI's are their own causes' causes, so each is told once."""
    kind, seen = type(error), (*told_before, error)
    told = {name: plain(getattr(error, name, None)) for name in TOLD_BY_ERRORS}
    because = error.__cause__
    cause = {"cause": described(because, seen)} if because and because not in seen else {}
    kept = {name: value for name, value in told.items() if value is not None}
    return {"kind": f"{kind.__module__}.{kind.__qualname__}", "message": str(error), **kept, **cause}


def plain(value: Any) -> Any:
    """The value as JSON, with all that it says."""
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(exclude_none=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Iterator):
        return iterated(value)
    return str(value)
