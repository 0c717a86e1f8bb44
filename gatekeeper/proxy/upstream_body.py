"""The body of the upstream's response, read piece by piece."""

from __future__ import annotations

from gatekeeper.proxy.failures import UpstreamBroken
from gatekeeper.upstream.connection import ConnectionLost, UpstreamConnection


class UpstreamBody:
    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection

    async def __call__(self) -> bytes | None:
        """The next piece, None at the end. Raises UpstreamBroken."""
        try:
            return await self._connection.read_chunk()
        except ConnectionLost:
            raise UpstreamBroken from None

    @property
    def has_ended(self) -> bool:
        """Whether the piece that was read last is the last one, and no trailers follow."""
        return self._connection.is_complete and not self._connection.trailers
