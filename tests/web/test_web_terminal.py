"""The terminal application in a browser: who gets a terminal, who does not, and that it is one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rig.admin_gateway import gateway, sample_answers

aiohttp = pytest.importorskip("aiohttp", reason="the extra `web` is not installed")
pytest.importorskip("textual_serve", reason="the extra `web` is not installed")

from aiohttp import WSServerHandshakeError, web  # noqa: E402

from gatekeeper.cli.main import run  # noqa: E402
from gatekeeper.web import server, sign_in, terminal  # noqa: E402
from gatekeeper.web.server import WebTerminals  # noqa: E402

KEY = "sk-master-0123456789"
FRAMES = {"Sec-Fetch-Site": "same-origin"}


def answers(mode: str) -> dict:
    """A gateway that has the sample's documents, and in the mode with a master key asks for it."""

    def keys(request):
        if mode != "open" and request.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"title": "Unauthorized"}
        return sample_answers()["GET /key/list"]

    return {**sample_answers(), "GET /": {"mode": mode, "version": "1"}, "GET /key/list": keys}


class Browser:
    """A browser with its cookies at the pages of this server."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.session = session

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=headers) as response:
            return response.status, await response.text()

    async def post(self, path: str, origin: str | None = None, **form: str) -> tuple[int, str]:
        headers = {"Origin": origin or self.url}
        async with self.session.post(self.url + path, data=form, headers=headers) as response:
            return response.status, await response.text()

    async def refused_terminal(self, **headers: str) -> int:
        """The status of a terminal that is refused."""
        with pytest.raises(WSServerHandshakeError) as refused:
            await self.session.ws_connect(f"{self.url}/terminal", headers=headers)
        return refused.value.status


@asynccontextmanager
async def served(mode: str = "master key", host: str = "127.0.0.1"):
    """The pages before such a gateway."""
    async with gateway(answers(mode)) as behind:
        application = WebTerminals(behind.url, host, mode == "open").application()
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an IP address
        try:
            async with aiohttp.ClientSession(cookie_jar=jar) as session:
                yield Browser(port, session), behind
        finally:
            await runner.cleanup()


def visit(script: Callable[[Browser], Awaitable[None]], **how: str) -> None:
    async def visited() -> None:
        async with served(**how) as (browser, _):
            await script(browser)

    asyncio.run(asyncio.wait_for(visited(), 30))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "REFUSAL_SECONDS", 0)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_without_the_master_key_there_is_a_form_and_no_terminal():
    async def script(browser):
        status, page = await browser.get()
        assert (status, 'type="password"' in page, "textual.js" in page) == (200, True, False)
        assert await browser.refused_terminal(Origin=browser.url) == 401
        status, page = await browser.post("/sign-in", key="sk-wrong")
        assert (status, "does not accept this key" in page, "sk-wrong" in page) == (403, True, False)
        assert await browser.refused_terminal(Origin=browser.url) == 401
        assert browser.session.cookie_jar.filter_cookies(browser.url) == {}

    visit(script)


def test_with_the_key_there_is_a_terminal_until_one_signs_out():
    async def script(browser):
        status, page = await browser.post("/sign-in", key=f" {KEY} ")
        assert (status, "textual.js" in page, KEY in page) == (200, True, False)
        (cookie,) = browser.session.cookie_jar
        assert (cookie["httponly"], cookie["samesite"], KEY in cookie.value) == (True, "Strict", False)
        # Pages of other sites send the cookie in vain.
        for origin in (None, "null", "https://evil.example", f"{browser.url}.evil.example"):
            headers = {"Origin": origin} if origin else {}
            assert await browser.refused_terminal(**headers) == 403
            if origin:
                assert (await browser.post("/sign-out", origin=origin))[0] == 403
        status, page = await browser.post("/sign-out")
        assert (status, 'type="password"' in page) == (200, True)
        assert await browser.refused_terminal(Origin=browser.url) == 401

    visit(script)


def test_the_terminal_is_the_application_with_the_key_in_its_environment(monkeypatch):
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-of-the-server")
    monkeypatch.setenv("TMUX", "/tmp/of-the-server")
    seen = ""

    def process() -> Path:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        return next(
            found
            for found in map(Path, (f"/proc/{child}" for child in children))
            if b"gatekeeper" in (found / "cmdline").read_bytes()
        )

    async def read(socket, text: str) -> None:
        nonlocal seen
        while text not in seen:
            message = await socket.receive(timeout=20)
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), seen
            seen += message.data.decode() if isinstance(message.data, bytes) else message.data

    async def script(browser):
        await browser.post("/sign-in", key=KEY)
        url = f"{browser.url}/terminal?width=100&height=30"
        async with browser.session.ws_connect(url, headers={"Origin": browser.url}) as socket:
            await read(socket, "web-frontend")
            found = process()
            assert KEY not in (found / "cmdline").read_text()
            environment = (found / "environ").read_text()
            assert f"GATEKEEPER_MASTER_KEY={KEY}" in environment
            assert "of-the-server" not in environment
            # What is no message of the page's script is ignored.
            for message in ("no JSON", '["stdin"]', "[]", '{"stdin": "q"}', '["resize", {"width": "x"}]'):
                await socket.send_str(message)
            await socket.send_json(["ping", "1"])
            await read(socket, '["pong","1"]'.replace(",", ", "))
            await socket.send_json(["resize", {"width": 1e9, "height": 40}])
            await socket.send_json(["stdin", "4"])
            await read(socket, "old-script")
            await socket.send_json(["stdin", "y"])
            await read(socket, '["copy","0193f000')
            await socket.send_json(["stdin", "q"])
            while (await socket.receive(timeout=20)).type is not aiohttp.WSMsgType.CLOSE:
                pass

    visit(script)


def test_an_open_gateway_is_for_pages_of_this_machine_only():
    async def script(browser):
        status, page = await browser.get()
        assert (status, "textual.js" in page, "Sign out" in page) == (200, True, False)
        assert (await browser.get(Host="evil.example"))[0] == 403
        assert await browser.refused_terminal(Origin="https://evil.example") == 403
        assert await browser.refused_terminal(Origin="http://evil.example", Host="evil.example") == 403

    visit(script, mode="open")


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "http://a]b"])
def test_an_origin_that_is_no_url_is_another_site(origin):
    async def script(browser):
        assert await browser.refused_terminal(Origin=origin) == 403
        assert (await browser.post("/sign-in", origin, key="k"))[0] == 403

    visit(script)


def test_a_gateway_that_has_become_open_lets_nobody_in_from_elsewhere():
    async def checked():
        async with gateway(answers("open")) as behind:
            await sign_in.check_key(behind.url, "any", "127.0.0.1")
            with pytest.raises(sign_in.Refused, match="open mode"):
                await sign_in.check_key(behind.url, "any", "0.0.0.0")

    asyncio.run(checked())


def test_there_are_not_more_terminals_than_the_machine_has_room_for(monkeypatch):
    monkeypatch.setattr(server, "MAX_TERMINALS", 0)

    async def script(browser):
        assert await browser.refused_terminal(Origin=browser.url) == 503

    visit(script, mode="open")


def test_pages_load_nothing_from_elsewhere_and_no_other_may_frame_them():
    async def script(browser):
        async with browser.session.get(browser.url) as response:
            policy, page = response.headers["Content-Security-Policy"], await response.text()
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http://" not in page
        assert "https://" not in page
        for path in ("css/xterm.css", "js/textual.js", "fonts/RobotoMono-VariableFont_wght.ttf"):
            async with browser.session.get(f"{browser.url}/static/{path}") as response:
                assert response.status == 200

    visit(script, mode="open")


def test_a_sign_in_ends_after_its_time():
    now = 0.0
    sign_ins = sign_in.SignIns(lambda: now)
    token = sign_ins.add(KEY)
    other = sign_ins.add("another")
    assert (sign_ins.key(token), sign_ins.key(other), sign_ins.key("")) == (KEY, "another", None)
    sign_ins.remove(other)
    assert sign_ins.key(other) is None
    now = sign_in.SIGNED_IN_SECONDS
    assert sign_ins.key(token) is None
    assert KEY not in repr(sign_in.SignedIn(KEY, 0))


@pytest.mark.parametrize(
    ("told", "width"),
    [("100", 100), (1e9, 500), ("0", 20), ("-1", 20), ("", 80), ("x", 80), ("inf", 80), ("nan", 80)],
)
def test_a_terminal_has_a_size_in_bounds(told, width):
    assert terminal.bounded(told, terminal.WIDTHS) == width


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["tui", "--port", "4080"], 2, "add --web"),
        (["tui", "--web", "--host", "no such host"], 2, "is not allowed"),
        (["tui", "--web", "--url", "http://127.0.0.1:1"], 3, "No gateway responds"),
    ],
)
def test_what_cannot_be_served_is_said(capsys, words, status, told):
    assert run(words) == status
    assert told in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_command_that_installs_it(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gatekeeper.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    assert run(["tui", "--web"]) == 2
    assert "pip install 'gatekeeper-gemini[web]'" in capsys.readouterr().err
