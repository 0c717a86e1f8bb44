"""Who else sees what a key has made: nobody, the keys of its group, or all keys."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.keys.limits import Share
from gatekeeper.keys.virtual_key import KeyRecord


class Sharing(NamedTuple):
    """`share` and `group` of a key."""

    share: str | None = None
    group: str | None = None

    def reaches(self, other: KeyRecord) -> bool:
        """Whether another key sees what this one has made."""
        if self.share == Share.GROUP:
            return self.group is not None and self.group == other.group
        return self.share == Share.ALL


def sharing_of(record: KeyRecord) -> Sharing:
    return Sharing(record.share, record.group)
