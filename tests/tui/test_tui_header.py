"""What the header says, and what it leaves out first where the room is small."""

from __future__ import annotations

from decimal import Decimal

import pytest
from rig.admin_gateway import NOW

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_types import GatewayInfo
from tui.app import MAIN_SCREENS
from tui.session import CONNECTING, LIVE, OFFLINE, Figures, Session
from tui.widgets.frame import header_line

TABS = tuple(kind.TAB for kind in MAIN_SCREENS)
BUSY = Figures(42, 3, Decimal("12.4"))
LEFT = " 1 Overview  2 Logs  3 Spend  4 Keys  5 Audit"


def header(width: int, **known: object) -> str:
    """The line at this width for a session in this state."""
    fields = {"connection": LIVE, "tabs": TABS, **known}
    session = Session(Client("http://127.0.0.1:4000"), lambda: NOW, **fields)
    # A space is left free at both ends.
    return header_line(session, TABS[0], width - 2).plain


@pytest.mark.parametrize(
    ("width", "sandbox", "right"),
    [
        (80, False, "● live  42/min  ✗ 3  $12.40"),
        (80, True, "SANDBOX   ● live  42/min  ✗ 3"),
        (72, True, "SANDBOX   ● live"),
        (60, True, "SANDBOX"),
        (90, False, "● live  42/min  ✗ 3  $12.40 today"),
        (120, False, "● live  42 calls/min  ✗ 3 errors/min  $12.40 today  14:07:32"),
        (120, True, "SANDBOX   ● live  42/min  ✗ 3  $12.40 today  14:07:32"),
        (200, True, "$12.40 today  127.0.0.1:4000  open  14:07:32"),
    ],
)
def test_what_matters_most_is_left_out_last(width, sandbox, right):
    line = header(width, figures=BUSY, gateway=GatewayInfo(mode="open", sandbox=sandbox))
    assert LEFT in line
    assert line.rstrip().endswith(right)


@pytest.mark.parametrize(
    ("known", "right"),
    [
        ({}, "● live  14:07:32"),
        ({"connection": CONNECTING}, "◌ connecting  14:07:32"),
        ({"connection": OFFLINE, "figures": BUSY}, "✗ offline  14:07:32"),
        ({"figures": Figures(0, 0, None)}, "● live  0/min  ✗ 0  ? today"),
        ({"figures": Figures(30_000, 0, Decimal(1204))}, "● live  30.0k/min  ✗ 0  $1,204"),
    ],
)
def test_what_is_not_known_or_old_is_not_shown(known, right):
    assert header(80, **known).rstrip().endswith(right)
