"""What TLS to the upstream adds to a call and an event: the gateway against itself, and against the bare
proxy with TLS too. The upstream's certificate is self-signed, and trusted by `SSL_CERT_FILE`."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import servers
from bench.cpu import Contender, Load, column, take_turns
from bench.figures import Figure, ratios


class Certificate(NamedTuple):
    """Files in PEM."""

    cert: Path
    key: Path


@contextmanager
def self_signed() -> Iterator[Certificate]:
    """For 127.0.0.1. Raises CalledProcessError, and FileNotFoundError without openssl."""
    with TemporaryDirectory() as folder:
        made = Certificate(Path(folder) / "cert.pem", Path(folder) / "key.pem")
        request = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        subject = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-out", str(made.cert), "-keyout", str(made.key)]
        subprocess.run([*request, *subject, *files], check=True, capture_output=True)
        yield made


def figures(setting: servers.Setting) -> list[Figure]:
    work = "TLS to the upstream"
    try:
        with self_signed() as certificate:
            return _measured(work, certificate, setting)
    except FileNotFoundError:
        return [Figure(work, "CPU × without it, a call", [], skipped="needs openssl")]


def _measured(work: str, certificate: Certificate, setting: servers.Setting) -> list[Figure]:
    load = Load(calls=500, streams=60) if setting.quick else Load()
    at, pace = setting.server_cpu, {"events": 50, "interval": 0.02}
    trust = {"SSL_CERT_FILE": str(certificate.cert)}
    with ExitStack() as stack:
        plain = stack.enter_context(servers.upstream(setting.load_cpu, **pace))
        tls = stack.enter_context(servers.tls_upstream(setting.load_cpu, *certificate, **pace))
        started = {
            "gateway": stack.enter_context(servers.gateway(plain, at)),
            "gateway, TLS": stack.enter_context(servers.gateway(tls, at, **trust)),
            "bare h11, TLS": stack.enter_context(servers.bare(tls, at, **trust)),
        }
        contenders = {name: Contender(server, load) for name, server in started.items()}
        rounds = setting.rounds or (2 if setting.quick else 5)
        found = take_turns(contenders, rounds, setting.load_cpu)
    lines: list[Figure] = []
    for field, unit in (("call_ms", "a call"), ("event_us", "an event")):
        ours, plain_costs, bare = (
            column(found, name, field) for name in ("gateway, TLS", "gateway", "bare h11, TLS")
        )
        lines += [
            Figure(work, f"CPU × without it, {unit}", ratios(ours, plain_costs)),
            Figure(work, f"CPU × bare h11 with it, {unit}", ratios(ours, bare)),
        ]
    return lines
