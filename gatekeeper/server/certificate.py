"""The server's TLS certificate: loaded, checked, and reloaded without a restart when its files change."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import trio

from gatekeeper.logs import log
from gatekeeper.runtime import file_state

CHECK_SECONDS = 1.0  # seconds between two checks of the files
EXPIRY_WARNING = timedelta(days=14)  # time until expiry from which on a warning is logged
CERTIFICATE, KEY = "tls_cert", "tls_key"  # the settings that name the files
KEY_MISMATCH_REASONS = (
    "KEY_VALUES_MISMATCH",
    "NO_CERTIFICATE_ASSIGNED",
)  # the second is for a key of another algorithm
PEM_CERTIFICATE, PEM_KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


class CertificateError(Exception):
    """Why a certificate cannot be used: the setting and the file to look at, and what is wrong with it."""

    def __init__(self, setting: str, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.setting = setting
        self.path = path
        self.problem = problem


class Certificate(NamedTuple):
    """A matching certificate and key, valid now. `names` are the DNS names and IP addresses that it is
    for."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    expires: datetime


def load(certificate: Path, key: Path) -> Certificate:
    """Reads both files (PEM). Raises CertificateError."""
    _check_pem(CERTIFICATE, certificate, PEM_CERTIFICATE, "holds no certificate in PEM format")
    _check_pem(KEY, key, PEM_KEY, "holds no private key in PEM format")

    # Without a callback OpenSSL would ask for the passphrase on the terminal, and wait for it.
    def encrypted() -> NoReturn:
        raise CertificateError(KEY, key, "is encrypted: store the key without a passphrase")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # With renegotiation (TLS 1.2) a write may have to read first, and a client may request any number of
    # them.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Clients that also offer HTTP/2 learn by ALPN that it is not supported.
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, encrypted)
        found = _examine(context, certificate)
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(CERTIFICATE, certificate, _verification_problem(error)) from None
    except ssl.SSLError as error:
        if error.reason in KEY_MISMATCH_REASONS:
            raise CertificateError(KEY, key, f"is not the key of the certificate in {certificate}") from None
        reason = (error.reason or "it is damaged").replace("_", " ").lower()
        raise CertificateError(CERTIFICATE, certificate, f"or its key cannot be used: {reason}") from None
    except OSError as error:
        raise CertificateError(CERTIFICATE, certificate, f"cannot be read ({error.strerror})") from None
    # Clients check these only, not the common name (RFC 9525 §2).
    names = tuple(value for kind, value in found.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
    return Certificate(context, names, expires)


def _check_pem(setting: str, path: Path, mark: bytes, problem: str) -> None:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CertificateError(setting, path, f"cannot be read ({error.strerror})") from None
    if mark not in text:
        raise CertificateError(setting, path, problem)


def _examine(context: ssl.SSLContext, certificate: Path) -> dict[str, Any]:
    """The certificate's fields, read by a handshake in memory with a client that trusts this certificate
    only: the module `ssl` has no other way to parse one. Raises SSLError if such a client would not
    connect."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    # Without this flag the file would have to contain a root; mostly it has a self-signed certificate, or
    # intermediates.
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(certificate)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = client_context.wrap_bio(down, up), context.wrap_bio(up, down, server_side=True)
    # TLS 1.3 needs three steps: hello, the server's certificate, the client's check of it. TLS 1.2, which is
    # the highest where OpenSSL's own configuration says so (MaxProtocol), needs five.
    for side in (client, server, client, server, client):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.getpeercert() or {}


def _verification_problem(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_message == "certificate has expired":
        return "has expired: renew the certificate"
    if error.verify_message == "certificate is not yet valid":
        return "is not yet valid: check its dates and this machine's clock"
    return f"cannot be used: {error.verify_message}"


class ServerCertificate:
    """The certificate for new connections; open connections keep theirs.

    `current` is replaced when the files change, but never by a pair that cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises CertificateError."""
        self._files = (certificate, key)
        # Before the files are read, so that a change meanwhile is detected.
        self._loaded = self._file_states()
        self._warned: date | None = None
        self.current = load(certificate, key)

    async def watch(self) -> None:
        """Loads the files again when they have changed; warns once a day of a certificate that expires
        soon."""
        while True:
            self._warn_of_expiry(datetime.now(UTC))
            await trio.sleep(CHECK_SECONDS)
            seen = self._file_states()
            if seen != self._loaded:
                await self._reload_when_settled(seen)

    def _warn_of_expiry(self, now: datetime) -> None:
        left = self.current.expires - now
        if left < EXPIRY_WARNING and self._warned != now.date():
            self._warned = now.date()
            log.warning("certificate_expires", expires=self.current.expires.isoformat(), days_left=left.days)

    async def _reload_when_settled(self, seen: object) -> None:
        """Certificate and key are written one after the other: the files are loaded once they have not
        changed for `CHECK_SECONDS`."""
        await trio.sleep(CHECK_SECONDS)
        if seen == self._file_states():
            self.reload()

    def reload(self) -> None:
        """Loads the files; on an error, which is logged, the current certificate stays in force."""
        self._loaded = self._file_states()
        try:
            self.current = load(*self._files)
        except CertificateError as error:
            log.error(
                "certificate_not_reloaded",
                setting=error.setting,
                detail=str(error),
                in_force_until=self.current.expires.isoformat(),
            )
        else:
            log.info(
                "certificate_reloaded", names=self.current.names, expires=self.current.expires.isoformat()
            )

    def _file_states(self) -> object:
        """The state of both files, which differs once one has changed or is missing."""
        return [file_state(path) for path in self._files]
