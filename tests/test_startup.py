"""What `serve` prints when it is ready: addresses that work, whatever was listened on."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from rig.certificate import make_certificate

from gatekeeper import startup
from gatekeeper.sandbox.errors import COMMANDS
from gatekeeper.server import certificate as certificates
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


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "https://127.0.0.1:4000"),  # a name of the certificate itself
        ("0.0.0.0", "https://127.0.0.1:4000"),
        ("192.0.2.5", "https://localhost:4000"),  # the first name of the certificate
    ],
)
def test_with_tls_by_a_name_of_the_certificate(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, address: str, url: str
) -> None:
    file = make_certificate(tmp_path / "c.pem", "*.example")
    settings = load({"host": address, "tls_cert": file, "tls_key": file}, MASTER)
    startup.print_startup_message(settings, (address, 4000), certificates.load(file, file))
    out = capfd.readouterr().out
    assert f"  address    {url}/gemini " in out
    assert re.search(
        r"^  TLS +certificate for localhost, 127.0.0.1, \*.example, valid until \d{4}-", out, re.MULTILINE
    )
    assert f"gatekeeper tui --url {url}\n" in out


@pytest.mark.parametrize("sandbox", [True, False])
def test_the_words_for_faults_are_the_sandboxs(capfd: pytest.CaptureFixture[str], sandbox: bool) -> None:
    startup.print_startup_message(load({"sandbox": sandbox}, MASTER), ("127.0.0.1", 4000))
    out = capfd.readouterr().out
    (*words, more) = re.findall(r"!\S+", out) or [""]
    assert ({*words, *startup.RARE} == set(COMMANDS), more == "!hops=3") == (sandbox, sandbox)


def test_the_public_address_is_shown_beside_the_local_one(capfd: pytest.CaptureFixture[str]) -> None:
    settings = load({"public_url": "https://gw.example/llm"}, MASTER)
    startup.print_startup_message(settings, ("0.0.0.0", 4000))
    out = capfd.readouterr().out
    assert "  address    http://127.0.0.1:4000/gemini " in out
    assert "             https://gw.example/llm/gemini   for clients (public_url)\n" in out
    assert socket.gethostname() not in out
