"""What is different by nature in two runs, each by a named rule; everything else must be equal.

A value that a rule finds becomes the rule's name and a number, the same for the same value wherever it comes
again in that run: so an id that a client was given and sends back must be the id that it was given.
"""

from __future__ import annotations

import re
from typing import Any

# Members of documents that are left out: what a client measured.
MEASURED = frozenset({"performance"})  # of the AI SDK: milliseconds of each step

ID = r"[A-Za-z0-9_-]"

RULES: dict[str, str] = {
    # Google's: names and ids that it gives, times
    "file": r"(?<=files/)[a-z0-9]{12}\b",
    "cache": rf"(?<=cachedContents/){ID}{{8,}}",
    "batch": rf"(?<=batches/){ID}{{8,}}",
    "operation": rf"(?<=operations/){ID}{{8,}}",
    "store": r"(?<=fileSearchStores/)[a-z0-9-]{12,}",
    "document": r"(?<=/documents/)[a-z0-9-]{25}",
    "tuning": r"(?<=tunedModels/)[a-z0-9]{12}\b",
    "resource": "|".join(rf'(?<="id":{gap}")[a-z0-9]{{12}}(?=")' for gap in ("", " ")),  # webhook, trigger
    "secret": rf"\bwhsec_{ID}{{4,}}",  # whole, or its beginning
    "interaction": r"\bv1_[A-Za-z0-9_-]{40,}",
    "token": rf"(?<=auth_tokens/){ID}{{8,}}",
    "response": "|".join(
        rf'(?<="{name}":{gap}"){ID}{{16,}}(?=")' for name in ("responseId", "id") for gap in ("", " ")
    ),
    "upload": r"(?<=upload_id=)[^<&\s\"']+",
    "seconds": r'(?<="created":)1[789]\d{8}\b|(?<="created": )1[789]\d{8}\b',  # since 1970
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    "date": r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    # The clients': what they draw by lot
    "session": r"\bses_[A-Za-z0-9]{20,}",
    "boundary": r"(?<=boundary=)[^<\s;\"']{8,}|(?<=boundary=[\"'])[^<\"']{8,}",
    "completion": r"\bchatcmpl-[0-9a-f.-]{10,}",
    "uuid": r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
}
# Times differ from each other by nature too; an upload has one id at Google and another at the gateway; of a
# secret its beginning comes too.
UNNUMBERED = ("time", "date", "seconds", "upload", "secret")
FOUND = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in RULES.items()))
LONGEST = 1 << 20  # characters: a longer text is media, where nothing is random


class Normaliser:
    """For one run. `own` are texts that are the run's: its address becomes `<base>`. `without` are members of
    documents, such as headers that a client shows, that are left out."""

    def __init__(self, own: dict[str, str], without: frozenset[str]) -> None:
        self._own = own
        self._without = without
        self._names: dict[str, str] = {}
        self._operation = 0
        self._counts: dict[str, int] = {}

    def next_operation(self) -> None:
        """Numbers begin anew: an operation that asked for less than it should disturbs none after it."""
        self._operation += 1
        self._counts.clear()

    def text(self, text: str) -> str:
        if len(text) > LONGEST:
            return text
        for value, name in self._own.items():
            text = text.replace(value, name)
        for value, name in self._names.items():
            if value in text:
                text = text.replace(value, name)
        return FOUND.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        rule, value = str(found.lastgroup), found[0]
        if rule in UNNUMBERED:
            return f"<{rule}>"
        if value not in self._names:
            self._counts[rule] = self._counts.get(rule, 0) + 1
            self._names[value] = f"<{rule} {self._operation}.{self._counts[rule]}>"
        return self._names[value]

    def value(self, value: Any) -> Any:
        """The same of a JSON document, names of members included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            kept = {name: item for name, item in value.items() if name not in self._without | MEASURED}
            times = {name: "<seconds>" for name in kept if name == "created" and isinstance(kept[name], int)}
            return {self.text(name): self.value(item) for name, item in (kept | times).items()}
        return value
