"""`gatekeeper doctor`: is everything there that a gateway here needs, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.flags import FLAGS, loaded, setting_flags
from gatekeeper.cli.help import examples
from gatekeeper.cli.output import emit, own_json_option, print_cells
from gatekeeper.client.formats import Tone, padded

if TYPE_CHECKING:
    from gatekeeper.cli.checks import Finding

NAME = 14


@click.command("doctor", epilog=examples("doctor", "doctor --data /var/lib/gatekeeper --json"))
@click.option(
    "--url", envvar="GATEKEEPER_URL", metavar="URL", help="Where a gateway runs, if elsewhere than set."
)
@own_json_option
@setting_flags(*FLAGS)
def command(config: Path | None, url: str | None, as_json: bool, **flags: object) -> int:
    """Check settings, Google key, upstream, data folder, port, clock, prices and the running gateway.

    Each finding says what to do; if there is one, the exit status is 7. No key is sent anywhere.
    """
    findings = examined(flags, config, url)
    if as_json:
        found = list(findings)
        fine = all(finding.remedy is None for finding in found)
        emit(msgspec.json.encode({"ok": fine, "checks": found}))
    else:
        fine = [told(finding) for finding in findings].count(False) == 0
    return Status.FINE if fine else Status.FOUND


def examined(flags: Mapping[str, object], config: Path | None, url: str | None) -> Iterator[Finding]:
    """All checks, as they are done; without settings those that need none."""
    from gatekeeper.addresses import leads_here, local_url
    from gatekeeper.cli import checks, folder

    now = datetime.now(UTC)
    try:
        settings = loaded(flags, config)
    except Failure as failure:
        yield checks.Finding("settings", "they do not do", str(failure))
        yield from checks.check_prices(now)
        return
    here = local_url(settings.host, settings.port)
    yield checks.Finding("settings", f"for a gateway at {here}, {settings.mode} mode")
    yield checks.check_key(settings)
    yield from checks.check_upstream(settings, now)
    answers, gateway = checks.check_gateway(url or here)
    runs_here = answers and (url is None or leads_here(url, settings.port))
    yield from folder.check_folder(settings.data, runs_here)
    yield from folder.check_kind(settings)
    yield checks.check_port(settings, runs_here)
    yield from checks.check_prices(now)
    yield gateway


def told(finding: Finding) -> bool:
    """Prints it; whether all is well."""
    fine = finding.remedy is None
    sign = ("✓ ", Tone.FINE) if fine else ("✗ ", Tone.ERROR)
    print_cells([sign, (padded(finding.check, NAME, right=False), Tone.PLAIN), (finding.detail, Tone.PLAIN)])
    if finding.remedy:
        print_cells([(" " * (NAME + 2) + f"→ {finding.remedy}", Tone.LIMIT)])
    return fine
