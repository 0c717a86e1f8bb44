"""Other proxies, for comparison: LiteLLM's, in a virtual environment of its own, and nginx, which only
forwards.

Each is optional: where it cannot be had, what comes back says why.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import servers

LITELLM_VERSION = "1.110.2"
LITELLM_START = 120.0  # seconds that it may take to start
NGINX_CONF = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  upstream stand_in {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://stand_in;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


class Missing(NamedTuple):
    """A rival that this machine does not have."""

    why: str


@contextmanager
def nginx(upstream: servers.Server, cpu: int | None) -> Iterator[servers.Server | Missing]:
    """One process, without buffering, its upstream connections kept."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        yield Missing("not installed (`apt-get install nginx`)")
        return
    port = servers.free_port()
    with TemporaryDirectory() as folder:
        conf = Path(folder) / "nginx.conf"
        address = upstream.url.removeprefix("http://")
        conf.write_text(NGINX_CONF.format(folder=folder, upstream=address, port=port))
        with servers.running([program, "-p", folder, "-c", conf], cpu) as process:
            servers.await_port(process, port)
            yield servers.Server(process, f"http://127.0.0.1:{port}")


@contextmanager
def litellm(upstream: servers.Server, cpu: int | None) -> Iterator[servers.Server | Missing]:
    """Its proxy with a master key and without a database, whose `/gemini` passes calls through."""
    try:
        program = installed_litellm()
    except subprocess.CalledProcessError as error:
        why = (error.stderr or "").strip().splitlines() or [str(error)]
        yield Missing(f"cannot be installed: {why[-1]}")
        return
    port, key = servers.free_port(), "sk-bench-master"
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text("model_list: []\ngeneral_settings:\n  master_key: " + key + "\n")
        command = [program, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
        environment = {"GEMINI_API_KEY": "bench", "GEMINI_API_BASE": upstream.url, "HOME": folder}
        environment |= {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with servers.running(command, cpu, **environment) as process:
            server = servers.Server(process, f"http://127.0.0.1:{port}/gemini", key)
            if await_answer(server):
                yield server
            else:
                yield Missing("does not start")


def installed_litellm() -> Path:
    """The program, from an environment in the user's cache, which is made where there is none. Raises
    CalledProcessError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "gatekeeper-bench" / f"litellm-{LITELLM_VERSION}"
    program = home / "bin" / "litellm"
    complete = home / "complete"
    if not complete.exists():
        print(f"installing LiteLLM {LITELLM_VERSION}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        pip = [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(*pip, f"litellm=={LITELLM_VERSION}")
        requirements = _run(home / "bin" / "python", "-c", PROXY_REQUIREMENTS).split("\n")
        _run(*pip, *filter(None, requirements))
        complete.touch()
    return program


# What the extra `proxy` asks for, less LiteLLM's own packages: for its database and its paid edition.
PROXY_REQUIREMENTS = """
from importlib.metadata import requires
for requirement in requires("litellm"):
    name, _, marker = requirement.partition(";")
    condition, _, extra = marker.strip().rpartition("extra == ")
    if extra == "'proxy'" and not name.startswith("litellm-"):
        condition = condition.removesuffix(" and ")
        print(name.strip() + (" ; " + condition if condition else ""))
"""


def _run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return done.stdout


def await_answer(server: servers.Server) -> bool:
    """Whether it answers a call with 200 in time."""
    url = server.url + servers.UNARY.rstrip("?")
    headers = {"x-goog-api-key": server.key, "content-type": "application/json"}
    asked = urllib.request.Request(url, b"{}", headers)
    until = time.monotonic() + LITELLM_START
    while server.process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            print(f"LiteLLM: {error.code} {error.read(300)!r}", file=sys.stderr)
            return False
        except OSError:
            time.sleep(0.2)
    return False
