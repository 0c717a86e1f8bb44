"""The roles of the admin API: what a key with one may do there. A key without sees its own data only."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """From the widest to the narrowest: each may do all that the next ones may. The master key is `admin`."""

    ADMIN = "admin"
    """Everything, roles and Google keys included."""
    OPERATOR = "operator"
    """Changes keys without a role, groups and end users; reads everything."""
    VIEWER = "viewer"
    """Reads everything, changes nothing."""

    def includes(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        return _RANKS[self] <= _RANKS[needed]


_RANKS = {role: rank for rank, role in enumerate(Role)}
