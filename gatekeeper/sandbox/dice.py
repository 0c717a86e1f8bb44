"""Chance that repeats: the same words give the same dice, in every process and on every machine."""

from __future__ import annotations

from random import Random


def dice(*seeds: object) -> Random:
    return Random("\0".join(map(str, seeds)))  # noqa: S311 - plausible answers, nothing secret
