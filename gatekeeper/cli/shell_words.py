"""A command line that is still being typed in bash: its words, and how the last one is quoted."""

from __future__ import annotations

import re
from typing import NamedTuple

# Of those at which bash breaks words, the ones that occur in words of ours.
BREAKS = ":="
# What bash would not take as it is, without quotes.
SPECIAL = re.compile(r"[^\w@%+:=,./^-]")
IN_DOUBLE_QUOTES = re.compile(r'[$`"\\]')


class LastWord(NamedTuple):
    """The word at the cursor, without its quotes. `quote` is the one that is open there, behind `before`
    characters of it."""

    text: str
    quote: str = ""
    before: int = 0

    def replacement(self, value: str, breaks: str) -> str:
        """What bash is to put in the word's place so that it becomes `value`: with an open quote all behind
        that, otherwise all behind the last of its word breaks."""
        if self.quote == "'":
            return value[self.before :].replace("'", r"'\''")
        if self.quote == '"':
            return IN_DOUBLE_QUOTES.sub(r"\\\g<0>", value[self.before :])
        last_break = max((self.text.rfind(each) for each in BREAKS if each in breaks), default=-1)
        return SPECIAL.sub(r"\\\g<0>", value[last_break + 1 :])


def split(line: str) -> tuple[list[str], LastWord]:
    """The words before the cursor, and the one at it."""
    words: list[str] = []
    text, quote, begun, before = "", "", False, 0
    characters = iter(line)
    for each in characters:
        if quote == "'" or (quote and each == quote):
            quote, text = ("", text) if each == quote else (quote, text + each)
        elif each == "\\":
            text, begun = text + next(characters, ""), True
        elif each in "\"'" and not quote:
            quote, before, begun = each, len(text), True
        elif each in " \t\n" and not quote:
            if begun:
                words.append(text)
            text, begun = "", False
        else:
            text, begun = text + each, True
    return words, LastWord(text, quote, before if quote else 0)
