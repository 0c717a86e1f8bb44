"""Startup: preflight checks of the settings, used by `serve` and `doctor`; the price catalogue that comes
with the program; and what `serve` prints when it is ready: its address, mode and upstream, what to try next.
"""

from __future__ import annotations

import functools
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper import __version__, addresses, data_dir, setting_parsers
from gatekeeper.addresses import DEFAULT_URL, WILDCARD_HOSTS, local_url
from gatekeeper.pricing.price_faults import CatalogueError, Fault
from gatekeeper.runtime import NonBlockingWriter
from gatekeeper.setting_parsers import GOOGLE_API_URL
from gatekeeper.settings import OwnPrices, Settings

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue
    from gatekeeper.server.certificate import Certificate, CertificateError

BUILT_IN_PRICES = Path(__file__).parent / "pricing" / "prices.toml"


class StartupProblem(NamedTuple):
    """A problem and its remedy, each without capital and full stop; and the exit status."""

    problem: str
    remedy: str
    status: int = 2

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy[0].upper()}{self.remedy[1:]}"


def missing_google_key(settings: Settings) -> StartupProblem | None:
    if settings.sandbox or settings.own_google_keys:
        return None
    return StartupProblem(
        "there is no Google key",
        "either set GEMINI_API_KEY (https://aistudio.google.com/apikey), "
        "or try it without one: gatekeeper serve --sandbox",
    )


def upstream_is_self(settings: Settings) -> StartupProblem | None:
    """The problem of an upstream that is the gateway itself, by any address of this machine: each call would
    be relayed in a loop until there are no descriptors left."""
    # By any name of the URL: one in /etc/hosts, another interface, 0.0.0.0.
    if settings.sandbox or not addresses.is_own_url(settings.upstream, settings.port):
        return None
    source = settings.sources["upstream"]
    remedy = f"set the address of the API: --upstream {setting_parsers.GOOGLE_API_URL}"
    if source == "GEMINI_API_BASE":
        remedy = f"unset it for the gateway, clients read that variable too; or {remedy}"
    return StartupProblem(
        f"the upstream {settings.upstream} (set by {source}) is this gateway's own address: every call would "
        "come back to it",
        remedy,
    )


def data_kind_mismatch(settings: Settings) -> StartupProblem | None:
    """A data folder or key database of the other kind (sandbox or Google). Raises OSError."""
    here = data_dir.data_kind(settings)
    for place, marker in data_dir.marker_files(settings).items():
        found = data_dir.kind_of(place, marker)
        if found in (None, here):
            continue
        owner = "the sandbox, whose money is not real" if not settings.sandbox else "calls to Google"
        return StartupProblem(
            f"{place} belongs to {owner}", _mismatch_remedy(settings, place, marker), status=6
        )
    return None


def _mismatch_remedy(settings: Settings, place: Path, marker: Path) -> str:
    if place != settings.data:
        remedy = "choose another DATABASE_URL"
    elif settings.sandbox:
        remedy = f"leave --data out, the sandbox has {setting_parsers.SANDBOX_FOLDER}; or choose another"
    else:
        remedy = "choose another --data, or add --sandbox"
    # A folder without a marker counts as Google's; only its owner knows whether it is the sandbox's.
    if settings.sandbox and not marker.exists():
        remedy += f". If it is an older sandbox folder, write {data_dir.SANDBOX} into {marker}"
    return remedy


def certificate_problem(settings: Settings, error: CertificateError) -> str:
    """Why the certificate or its key cannot be used, and where it was set."""
    return f"{error.setting}: {error.path} (set by {settings.sources[error.setting]}) {error.problem}"


def is_key_exposed(settings: Settings) -> bool:
    """Whether every user of this machine can read the private key."""
    return settings.tls_key is not None and bool(settings.tls_key.stat().st_mode & stat.S_IROTH)


def gateway_url(settings: Settings, host: str, port: int, certificate: Certificate | None) -> str:
    """The URL by which a client on this machine reaches the gateway; with TLS, by a name that its certificate
    is for."""
    host = WILDCARD_HOSTS.get(host, host)
    names = [name for name in certificate.names if not name.startswith("*")] if certificate else []
    return local_url(host if host in names or not names else names[0], port, settings.scheme)


# Google's errors that few tests are about; the line at start does without them.
RARE = ("!400", "!401", "!403", "!404", "!504")
EXAMPLE_CURL = """\
  try it     curl "{url}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={key}" \\
               -H 'Content-Type: application/json' -d '{{"contents":[{{"parts":[{{"text":"Hello"}}]}}]}}'"""


def print_startup_message(
    settings: Settings, address: tuple[str | int, ...], certificate: Certificate | None = None
) -> None:
    """Prints the startup message to stdout. `address` is that of the listening socket."""
    host, port = str(address[0]), int(address[1])
    url = gateway_url(settings, host, port, certificate)
    lines = [
        f"gatekeeper {__version__}",
        "",
        f"  address    {url}/gemini   in place of {GOOGLE_API_URL}",
        *_other_address_line(settings, host, port),
        *_certificate_line(certificate),
        f"  mode       {_mode(settings)}",
        f"  upstream   {'a simulated Gemini API, built in' if settings.sandbox else settings.upstream}",
        f"  data       {settings.data.resolve()}",
        "",
        EXAMPLE_CURL.format(url=url, key="anything" if settings.open_mode else "KEY"),
        f"  keys       gatekeeper keys create --alias me{_url_option(url)}",
        f"  watch      gatekeeper tui{_url_option(url)}",
        *(sandbox_lines() if settings.sandbox else ()),
        "  stop       ctrl+c",
    ]
    NonBlockingWriter(sys.stdout.fileno()).write("\n".join([*lines, ""]))


def sandbox_lines() -> list[str]:
    """Which words make the sandbox fail."""
    from gatekeeper.sandbox.errors import COMMANDS, LONG_DECODE

    words = " ".join([*(word for word in COMMANDS if word not in RARE), LONG_DECODE[0]])
    return [
        f"  faults     begin a prompt with {words}",
        "             (what each does, and more: gatekeeper sandbox --help)",
    ]


def _mode(settings: Settings) -> str:
    if settings.open_mode:
        return (
            "open: any client key is accepted, from this machine only (set GATEKEEPER_MASTER_KEY to change)"
        )
    return "master key: clients need a virtual key"


def _other_address_line(settings: Settings, host: str, port: int) -> list[str]:
    """The address for clients on other machines, if it is another one."""
    if settings.public_url:
        return [f"             {settings.public_url}/gemini   for clients (public_url)"]
    if host not in WILDCARD_HOSTS:
        return []
    url = local_url(socket.gethostname(), port, settings.scheme)
    return [f"             {url}/gemini   from other machines, by this one's name or address"]


def _certificate_line(certificate: Certificate | None) -> list[str]:
    if certificate is None:
        return []
    names = ", ".join(certificate.names) or "no name"
    return [f"  TLS        certificate for {names}, valid until {certificate.expires:%Y-%m-%d}"]


def _url_option(url: str) -> str:
    """The option of a client command for this address, if it is not the default."""
    return "" if url == DEFAULT_URL else f" --url {url}"


def load_catalogue(own: OwnPrices | None = None) -> Catalogue:
    """The built-in catalogue, with the user's own prices over it if there are some. Raises FileNotFoundError,
    or CatalogueError that names the file and the line of each fault."""
    catalogue = read_prices(BUILT_IN_PRICES, _built_in)
    if own is None:
        return catalogue
    try:
        return read_prices(own.file, catalogue.with_own)
    except FileNotFoundError:
        # Prices of one's own are meant to hold: without them costs would be wrong, and nobody told.
        if own.file.is_symlink():
            missing = f"it leads to {own.file.readlink()}, which is missing"
        elif own.instead_of:
            missing = "it is missing: change the setting `prices`, or unset it"
        else:
            return catalogue
        raise CatalogueError([Fault(1, missing)], str(own.file)) from None


@functools.lru_cache(1)
def _built_in(text: str) -> Catalogue:
    """Parsed once, and not again when only the user's own prices have changed."""
    # Imported here: the help of the commands does without the parser of prices.
    from gatekeeper.pricing.catalogue import Catalogue

    return Catalogue.parse(text)


def read_prices(path: Path, parse: Callable[[str], Catalogue]) -> Catalogue:
    """The catalogue that `parse` makes of a file. Raises FileNotFoundError if there is none, and
    CatalogueError that names it."""
    try:
        # Windows' editors put a byte order mark before the text.
        return parse(path.read_bytes().decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{path} is missing: install gatekeeper again") from None
    except OSError as error:
        faults = [Fault(1, f"it cannot be read ({error.strerror})")]
    except UnicodeDecodeError as error:
        faults = [Fault(error.object.count(b"\n", 0, error.start) + 1, "it is not UTF-8")]
    except CatalogueError as error:
        faults = error.faults
    raise CatalogueError(faults, str(path))
