"""Which certificates are taken, what is said of the others, and how a newer one comes into force."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from rig.certificate import make_certificate
from rig.logs import capture_logs

from gatekeeper.server import certificate as certificates
from gatekeeper.server.certificate import CertificateError, ServerCertificate, load

DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "certificate.pem", "gw.example")


def encrypted(file: Path) -> Path:
    """The file's key, with a passphrase."""
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    format = serialization.PrivateFormat.PKCS8  # noqa: A001
    cipher = serialization.BestAvailableEncryption(b"secret")
    out = file.with_name("encrypted.pem")
    out.write_bytes(key.private_bytes(serialization.Encoding.PEM, format, cipher))
    return out


def rsa(file: Path) -> Path:
    """A key of another algorithm than the file's, as after a renewal that is half written."""
    key = generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.PKCS8
    out = file.with_name("rsa.pem")
    out.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return out


def text(file: Path, *parts: str) -> Path:
    out = file.with_name("text.pem")
    out.write_text("".join(parts))
    return out


def test_a_pair_is_known_by_its_names_and_its_end(file: Path) -> None:
    found = load(file, file)
    assert found.names == ("localhost", "127.0.0.1", "gw.example")
    assert timedelta(hours=23) < found.expires - datetime.now(UTC) < timedelta(hours=25)
    assert found.context.minimum_version == ssl.TLSVersion.TLSv1_2


def dated(file: Path, begins: timedelta, ends: timedelta) -> Path:
    return make_certificate(file.with_name("dated.pem"), begins=begins, ends=ends)


PEM = "-----BEGIN {0}-----\nMIIB\n-----END {0}-----\n"
FAULTS: dict[str, tuple[Callable[[Path], tuple[Path, Path]], str, str]] = {
    "missing": (lambda f: (f.with_name("none"), f), "tls_cert", "cannot be read (No such file"),
    "folder": (lambda f: (f.parent, f), "tls_cert", "cannot be read (Is a directory"),
    "no key file": (lambda f: (f, f.with_name("none")), "tls_key", "cannot be read (No such file"),
    "no certificate": (lambda f: (text(f, "x"), f), "tls_cert", "holds no certificate in PEM"),
    "no key": (lambda f: (f, text(f, PEM.format("CERTIFICATE"))), "tls_key", "holds no private key in PEM"),
    "damaged": (lambda f: (text(f, PEM.format("CERTIFICATE")), f), "tls_cert", "or its key cannot be used"),
    "damaged key": (lambda f: (f, text(f, PEM.format("PRIVATE KEY"))), "tls_cert", "cannot be used"),
    "encrypted": (lambda f: (f, encrypted(f)), "tls_key", "is encrypted: store the key without a passphrase"),
    "another's": (
        lambda f: (f, make_certificate(f.with_name("other.pem"))),
        "tls_key",
        "is not the key of the certificate in",
    ),
    "of another algorithm": (lambda f: (f, rsa(f)), "tls_key", "is not the key of the certificate in"),
    "expired": (lambda f: (dated(f, -3 * DAY, -DAY),) * 2, "tls_cert", "has expired: renew"),
    "too early": (lambda f: (dated(f, DAY, 2 * DAY),) * 2, "tls_cert", "is not yet valid"),
}


@pytest.mark.parametrize(("make", "setting", "problem"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_used_is_told_with_its_setting(
    file: Path, make: Callable[[Path], tuple[Path, Path]], setting: str, problem: str
) -> None:
    certificate, key = make(file)
    with pytest.raises(CertificateError) as refused:
        load(certificate, key)
    assert refused.value.setting == setting
    assert refused.value.path == (certificate if setting == "tls_cert" else key)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(CertificateError):
        ServerCertificate(certificate, key)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "CHECK_SECONDS", 0.02)


async def changes(server: ServerCertificate, change: Callable[[], object]) -> None:
    """Returns once the certificate is another than before the change."""
    before = server.current
    change()
    with trio.fail_after(5):
        while server.current is before:
            await trio.sleep(0.005)


@pytest.mark.usefixtures("_impatient")
async def test_newer_files_come_into_force_and_faulty_ones_do_not(file: Path) -> None:
    server = ServerCertificate(file, file)
    with capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.watch)
            await changes(server, lambda: make_certificate(file, "second.example"))
            assert "second.example" in server.current.names
            good = server.current
            file.write_text("half")
            with trio.fail_after(5):
                while logged[-1]["event"] != "certificate_not_reloaded":
                    await trio.sleep(0.005)
            assert server.current is good
            file.unlink()
            with trio.fail_after(5):
                while "No such file" not in str(logged[-1]):
                    await trio.sleep(0.005)
            # As Kubernetes and certbot do it: another file under the same name
            other = make_certificate(file.with_name("new.pem"), "third.example")
            await changes(server, lambda: file.symlink_to(other))
            assert "third.example" in server.current.names
            nursery.cancel_scope.cancel()
    told = [line["event"] for line in logged]
    assert told == [
        "certificate_expires", "certificate_reloaded", "certificate_not_reloaded",
        "certificate_not_reloaded", "certificate_reloaded",
    ]  # fmt: skip


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("change", ["permissions", "a date kept"])
async def test_a_change_that_keeps_size_and_date_is_seen(file: Path, change: str) -> None:
    server = ServerCertificate(file, file)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.watch)
        await trio.testing.wait_all_tasks_blocked()

        def touch() -> None:
            before = file.stat()
            if change == "permissions":
                file.chmod(0o640)
            else:
                file.write_bytes(file.read_bytes())
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

        await changes(server, touch)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("ends", "warned"), [(13 * DAY, True), (20 * DAY, False)])
async def test_the_end_is_warned_of_once_a_day(tmp_path: Path, ends: timedelta, warned: bool) -> None:
    file = make_certificate(tmp_path / "c.pem", ends=ends)
    server = ServerCertificate(file, file)
    with capture_logs() as logged, trio.move_on_after(0.1):
        await server.watch()
    assert [line["event"] for line in logged] == ["certificate_expires"] * warned


OPENSSL_CONFIGURATION = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = usual
[usual]
MaxProtocol = TLSv1.2
"""


def test_where_tls_1_2_is_the_highest_a_certificate_is_read_too(file: Path) -> None:
    """OpenSSL reads its configuration once, so that another process has to."""
    configuration = file.with_name("openssl.cnf")
    configuration.write_text(OPENSSL_CONFIGURATION)
    code = (
        "import pathlib, sys; from gatekeeper.server.certificate import load\n"
        "file = pathlib.Path(sys.argv[1]); print(load(file, file).names)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        env=os.environ | {"OPENSSL_CONF": str(configuration)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "gw.example" in ended.stdout, ended.stderr
