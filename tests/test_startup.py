"""What `serve` prints when it is ready: addresses that work, whatever was listened on."""

from __future__ import annotations

import re
import socket

import pytest

from gatekeeper import startup
from gatekeeper.settings import load

MASTER = {"GATEKEEPER_MASTER_KEY": "master-of-the-tests", "GEMINI_API_KEY": "AIzaOfTheTests"}


@pytest.mark.parametrize(
    ("address", "url", "flag", "elsewhere"),
    [
        (("127.0.0.1", 4000), "http://127.0.0.1:4000", "", False),
        (("127.0.0.1", 4100), "http://127.0.0.1:4100", " --url http://127.0.0.1:4100", False),
        (("::1", 4000, 0, 0), "http://[::1]:4000", " --url http://[::1]:4000", False),
        (("192.0.2.5", 4000), "http://192.0.2.5:4000", " --url http://192.0.2.5:4000", False),
        (("0.0.0.0", 4000), "http://127.0.0.1:4000", "", True),
        (("::", 4000, 0, 0), "http://[::1]:4000", " --url http://[::1]:4000", True),
    ],
)
def test_each_line_names_an_address_that_works(
    capfd: pytest.CaptureFixture[str], address: tuple[str | int, ...], url: str, flag: str, elsewhere: bool
) -> None:
    startup.print_startup_message(load({"host": address[0]}, MASTER), address)
    out = capfd.readouterr().out
    fields = dict(re.findall(r"^  (\w+) {2,}(.*)$", out, re.MULTILINE))
    assert fields["address"].startswith(f"{url}/gemini ")
    assert f'curl "{url}/gemini/v1beta/' in out
    assert fields["keys"] == f"gatekeeper keys create --alias me{flag}"
    assert fields["watch"] == f"gatekeeper tui{flag}"
    assert (f"http://{socket.gethostname()}:4000/gemini " in out) == elsewhere
