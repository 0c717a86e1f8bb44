"""File descriptors, of which there is a limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import trio
from rig.process import COMMAND, PATIENCE, Served, answers, end, environment, free_port
from rig.wire import Answer, connect, exchange, head, read


@asynccontextmanager
async def limited(folder: Path, limits: str) -> AsyncIterator[Served]:
    """A gateway under the shell's `limits`."""
    folder.mkdir()
    port = free_port()
    with (folder / "stdout.txt").open("ab") as stdout, (folder / "stderr.txt").open("ab") as stderr:
        process = await trio.lowlevel.open_process(
            ["sh", "-c", f'{limits}; exec "$@"', "sh", *COMMAND, "serve", "--sandbox", "--port", str(port)],
            cwd=folder,
            env=environment({}),
            stdout=stdout,
            stderr=stderr,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE, verify=False) as client:
            served = Served(process, folder, f"http://127.0.0.1:{port}", client)
            await answers(served)
            yield served
            assert await served.stop() == 0
    finally:
        await end(process)


async def ask(client: trio.SocketStream, path: str) -> Answer:
    await client.send_all(head(f"GET {path}", []).replace(b"gateway", b"localhost"))
    return await read(client, "GET")


async def test_the_soft_limit_is_raised_to_the_hard_one(folder: Path) -> None:
    async with limited(folder, "ulimit -Sn 100") as served:
        for line in Path(f"/proc/{served.process.pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft, hard = line.split()[3:5]
                assert (soft, soft != "100") == (hard, True)


async def test_at_the_limit_it_says_so_and_goes_on(folder: Path) -> None:
    async with limited(folder, "ulimit -n 90") as served, await connect(served.url) as known:
        assert (await ask(known, "/readyz")).status == 200
        async with AsyncExitStack() as stack:
            for _ in range(150):
                await stack.enter_async_context(await connect(served.url))
            await served.has_logged("accept_failed")
            unready = await ask(known, "/readyz")
            assert (unready.status, b"limit of open files" in unready.body) == (503, True)
            await trio.sleep(0.5)  # time for a flood
            assert served.logged().count("accept_failed") == 1
        with trio.fail_after(PATIENCE):
            assert (await exchange(served.url, "GET /healthz", headers=[])).status == 200
            assert (await ask(known, "/readyz")).status == 200
