"""`gatekeeper serve` with TLS, as a process: who watches it, and how its certificate is replaced."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from rig.certificate import make_certificate
from rig.process import Served, command, serving
from rig.wire import connect, exchange, head, read

from gatekeeper import __version__


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = make_certificate(tmp_path / "gateway.pem")
    file.chmod(0o600)
    return file


def settings(certificate: Path) -> dict[str, str]:
    return {"GATEKEEPER_TLS_CERT": str(certificate), "GATEKEEPER_TLS_KEY": str(certificate)}


async def test_the_command_line_reaches_it_with_a_ca_of_ones_own(folder: Path, certificate: Path) -> None:
    async with serving(folder, "--sandbox", **settings(certificate)) as served:
        assert served.url.startswith("https://")
        assert f"  address    {served.url}/gemini " in served.printed()
        for url, trusted, status, said in (
            (served.url, str(certificate), 0, ""),
            (served.url.replace("https:", "HTTPS:"), "", 3, "is not trusted: self-signed certificate"),
            (served.url.replace("https:", "http:"), "", 6, "use https://"),
        ):
            run = await command(folder, "keys", "list", "--json", "--url", url, SSL_CERT_FILE=trusted)
            assert (run.returncode, said in run.stderr.decode()) == (status, True), run
            assert run.stderr.count(b"\n") == (status != 0)
        words = ("doctor", "--sandbox", "--port", str(served.port), "--data", "data", "--json")
        checked = json.loads((await command(folder, *words, **settings(certificate))).stdout)["checks"]
        said = {each["check"]: each["detail"] for each in checked}
        assert said["gateway"] == f"{__version__} at {served.url}, open mode, ready"


async def names(served: Served) -> bytes:
    client = await connect(served.url)
    async with client:
        return client.tls.getpeercert(binary_form=True) or b""  # type: ignore[union-attr]


@pytest.mark.parametrize("signalled", [True, False])
async def test_a_newer_certificate_needs_no_restart(folder: Path, certificate: Path, signalled: bool) -> None:
    async with (
        serving(folder, "--sandbox", **settings(certificate)) as served,
        await connect(served.url) as older,
    ):
        make_certificate(certificate, "newer.example")
        if signalled:
            served.process.send_signal(signal.SIGHUP)
        await served.has_logged("certificate_reloaded")
        assert b"newer.example" in await names(served)
        certificate.write_text("nothing")
        if signalled:
            served.process.send_signal(signal.SIGHUP)
        await served.has_logged("certificate_not_reloaded")
        assert b"newer.example" in await names(served)
        await older.send_all(head("GET /healthz", []))
        assert (await read(older, "GET")).status == 200, "it keeps the certificate that it has"


async def test_a_key_for_everybody_is_warned_of(folder: Path, certificate: Path) -> None:
    certificate.chmod(0o604)
    async with serving(folder, "--sandbox", **settings(certificate)) as served:
        assert "file_permissions_too_open" in served.logged()
        answer = await exchange(served.url, "GET /healthz")
        assert answer.status == 200
