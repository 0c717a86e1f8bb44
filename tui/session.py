"""What all screens share: the gateway's client, the clock, and how things stand between here and there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import Gateway
from gatekeeper.client.formats import State, Tone, local_now

CONNECTING = State("◌", "connecting", Tone.WAITING)
LIVE = State("●", "live", Tone.FINE)
OFFLINE = State("✗", "offline", Tone.ERROR)

# Key, name and title of each main screen. The digits are for good: 1 and 5 are not these screens'.
PLACES = (("2", "logs", "Logs"), ("3", "spend", "Spend"), ("4", "keys", "Keys"))


@dataclass
class Session:
    """`link` is how the connection stands, `trouble` what to tell of it, `gateway` what it says of itself."""

    client: Client
    clock: Callable[[], datetime] = local_now
    link: State = CONNECTING
    trouble: str = ""
    gateway: Gateway = field(default_factory=Gateway)

    @property
    def zone(self) -> tzinfo:
        """The zone of the gateway's days and hours; UTC as long as it is not known."""
        try:
            return ZoneInfo(self.gateway.timezone) if self.gateway.timezone else UTC
        except (KeyError, ValueError, OSError):
            return UTC  # what this machine's list of zones does not have; the gateway names its days itself

    @property
    def other_zone(self) -> str:
        """The name of that zone where its clocks are not those of this machine."""
        now = self.clock()
        same = now.astimezone().utcoffset() == now.astimezone(self.zone).utcoffset()
        return "" if same else self.gateway.timezone

    @property
    def place(self) -> str:
        """Where the gateway is, as short as it can be said."""
        return self.client.url.partition("://")[2]
