"""The files of deploy/, each run by its own program where this machine has it, and compared with what it
names."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2
import pytest
import trio
import yaml
from rig.certificate import make_certificate
from rig.gateway import running
from rig.process import free_port, serving
from rig.standin import Reply, StandIn, standing_in
from websockets.trio.client import connect

from gatekeeper.settings import SETTINGS

DEPLOY = Path(__file__).parents[2] / "deploy"
MASTER = "master-of-the-tests"
PATIENCE = 10
TURNS = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
LIVE = "/gemini/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
EVENT = b'data: {"candidates": [{"content": {"parts": [{"text": "hi"}]}}]}\r\n\r\n'
MAIN = """daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{ {temporary} include {folder}/gatekeeper.conf; }}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
Proxy = Callable[[str, int, Path], list[str]]


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / "proxy.pem")


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The project's file with the addresses and paths of the test."""
    for name, here in changes:
        assert name in text
        text = text.replace(name, here)
    return text


def nginx(gateway: str, port: int, folder: Path) -> list[str]:
    """Writes its files; the command that runs it."""
    config = changed(
        (DEPLOY / "nginx.conf").read_text(),
        ("127.0.0.1:4000", gateway),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("gateway.example.com;", "localhost;"),
        ("/etc/ssl/gateway.example.com/fullchain.pem", str(folder / "proxy.pem")),
        ("/etc/ssl/gateway.example.com/privkey.pem", str(folder / "proxy.pem")),
        ("/var/log/nginx", str(folder)),
    )
    (folder / "gatekeeper.conf").write_text(config)
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, temporary=temporary))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(gateway: str, port: int, folder: Path) -> list[str]:
    """Writes its file; the command that runs it."""
    config = changed(
        (DEPLOY / "Caddyfile").read_text(),
        (
            "gateway.example.com {",
            f"https://localhost:{port} {{\n\ttls {folder}/proxy.pem {folder}/proxy.pem",
        ),
        ("127.0.0.1:4000", gateway),
        ("10.0.0.0/8 127.0.0.1", "10.0.0.0/8"),
    )
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + config)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


PROXIES = [
    pytest.param(
        each, marks=pytest.mark.skipif(shutil.which(each.__name__) is None, reason="not on this machine")
    )
    for each in (nginx, caddy)
]


@asynccontextmanager
async def proxied(proxy: Proxy, gateway: str, folder: Path) -> AsyncIterator[str]:
    """The address of the proxy, which runs with the project's file."""
    port = free_port()
    make_certificate(folder / "proxy.pem")
    command = proxy(gateway.partition("://")[2], port, folder)
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, command, env=environment, capture_stderr=True, check=False)
        process = await nursery.start(run)
        with trio.fail_after(PATIENCE):
            while not await is_open(port):
                await trio.sleep(0.01)
        yield f"https://localhost:{port}"
        process.terminate()


async def is_open(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@asynccontextmanager
async def behind(proxy: Proxy, folder: Path) -> AsyncIterator[tuple[StandIn, httpx2.AsyncClient]]:
    """The upstream, and a client of the proxy."""
    settings = {"master_key": MASTER, "trusted_proxies": "127.0.0.1"}
    async with (
        standing_in() as upstream,
        running(folder / "data", upstream.url, **settings) as gateway,
        proxied(proxy, gateway.url, folder) as url,
        httpx2.AsyncClient(base_url=url, verify=trusting(folder), timeout=PATIENCE) as client,
    ):
        yield upstream, client


@pytest.mark.parametrize("proxy", PROXIES)
async def test_events_pass_as_they_come_and_requests_as_written(proxy: Proxy, tmp_path: Path) -> None:
    first_arrived = trio.Event()

    async def script(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENT)
        await first_arrived.wait()
        await reply.raw(EVENT)
        await reply.stream.aclose()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 100_000

    async with behind(proxy, tmp_path) as (upstream, client):
        upstream.script = script
        target = f"/gemini{TURNS}?alt=sse&key={MASTER}"
        async with client.stream("POST", target, content=b'{"contents": []}') as response:
            received = b""
            async for chunk in response.aiter_bytes():
                received += chunk
                first_arrived.set()
        assert received == 2 * EVENT
        upload = "/v1beta/tunedModels/a%2Fb:transferOwnership?b=c%20d"
        await client.post(f"/gemini{upload}", content=chunks(), headers={"x-goog-api-key": MASTER})
    stream, uploaded = upstream.asked
    assert (stream.target.decode(), stream.body) == (f"{TURNS}?alt=sse", b'{"contents": []}')
    assert (uploaded.target.decode(), len(uploaded.body)) == (upload, 4_000_000)
    if proxy is nginx:
        logged = (tmp_path / "gatekeeper.log").read_text()
        assert f"POST /gemini{TURNS}" in logged
        assert MASTER not in logged


@pytest.mark.parametrize("proxy", PROXIES)
async def test_admin_routes_are_not_public_and_live_sessions_pass(proxy: Proxy, tmp_path: Path) -> None:
    settings = {"GATEKEEPER_MASTER_KEY": MASTER, "GATEKEEPER_TRUSTED_PROXIES": "127.0.0.1"}
    async with (
        serving(tmp_path / "gateway", "--sandbox", **settings) as served,
        proxied(proxy, served.url, tmp_path) as url,
    ):
        async with httpx2.AsyncClient(base_url=url, verify=trusting(tmp_path)) as client:
            for path in ("/key/list", "/metrics", "/gemini_x"):
                assert (await client.get(path, headers={"x-goog-api-key": MASTER})).status_code == 403
        address = f"{url.replace('https', 'wss')}{LIVE}?key={MASTER}"
        async with connect(address, proxy=None, ssl=trusting(tmp_path)) as session:
            await session.send(json.dumps({"setup": {"model": "models/gemini-live-2.5-flash-preview"}}))
            assert "setupComplete" in json.loads(await session.recv())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_takes_the_unit_and_finds_it_well_confined(tmp_path: Path) -> None:
    unit = tmp_path / "gatekeeper.service"
    text = (DEPLOY / "gatekeeper.service").read_text()
    # The checker wants a program that is there.
    unit.write_text(text.replace("/opt/gatekeeper/bin/gatekeeper", sys.executable))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False
    )
    level = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    assert level is not None
    assert float(level[1]) <= 2.0


async def test_documents_dashboard_and_alerts_name_metrics_that_there_are(tmp_path: Path) -> None:
    async with running(tmp_path, "http://127.0.0.1:9") as gateway:
        exposed = (await gateway.client.get("/metrics")).text
    known = set(re.findall(r"^# TYPE (\w+)", exposed, re.MULTILINE))
    files = [path for kind in ("json", "y*ml") for path in DEPLOY.rglob(f"*.{kind}")]
    files.append(DEPLOY.parent / "docs" / "deploy.md")
    named = {name for path in files for name in re.findall(r"gatekeeper_\w+", path.read_text())}
    assert len(named) > 8
    assert {re.sub(r"_bucket$", "", name) for name in named} <= known
    told = set(re.findall(r"`(gatekeeper_\w+)`", (DEPLOY.parent / "docs" / "deploy.md").read_text()))
    assert {name for name in known if name.startswith("gatekeeper_")} - told <= {
        "gatekeeper_info",
        "gatekeeper_analytics_lag_bytes",
    }


def test_compose_names_files_that_there_are_and_settings_that_are_known() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounted = [volume.split(":")[0] for each in services.values() for volume in each["volumes"]]
    assert [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()] == []
    known = {name for setting in SETTINGS for name in setting.environment}
    assert set(services["gatekeeper"]["environment"]) <= known
    built = (DEPLOY.parent / services["gatekeeper"]["build"]["dockerfile"]).read_text()
    assert set(re.findall(r"(?:GATEKEEPER|GEMINI)_\w+(?==)", built)) <= known
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", built, re.MULTILINE):
        assert all((DEPLOY.parent / name).exists() for name in copied.split())
    for path in DEPLOY.rglob("*.y*ml"):
        assert yaml.safe_load(path.read_text())
