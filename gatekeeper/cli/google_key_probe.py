"""Whether Google accepts a key: one read that costs nothing, with a deadline."""

from __future__ import annotations

import msgspec

from gatekeeper.cli.deadline import ProbeError, run_with_timeout

TIMEOUT = 5.0  # seconds
PATH = "/v1beta/models?pageSize=1"
# Google answers 400 to a key that it does not know (API_KEY_INVALID), 403 to one that it has suspended.
UNACCEPTABLE = (400, 401, 403)


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def refusal(upstream: str, key: str) -> str | None:
    """What Google says if it refuses the key, None if it accepts it. Raises ProbeError if it says neither."""
    status, body = run_with_timeout(TIMEOUT + 1, lambda: _ask(upstream, key))
    if status == 200:
        return None
    if status not in UNACCEPTABLE:
        raise ProbeError(f"it answers {status}")
    try:
        sentence = msgspec.json.decode(body, type=_Answer).error.message
    except msgspec.DecodeError:
        raise ProbeError(f"it answers {status}, and not as Google's API does") from None
    # Whatever answers there may repeat the key.
    return f"{status}: {sentence.replace(key, '…')}"


def _ask(upstream: str, key: str) -> tuple[int, bytes]:
    """Raises OSError."""
    # Imported here: `--help` does without.
    import httpx2

    from gatekeeper.upstream.pool import tls_context

    try:
        # As the gateway connects: by no proxy of the environment.
        with httpx2.Client(verify=tls_context(), timeout=TIMEOUT, trust_env=False) as client:
            response = client.get(upstream + PATH, headers={"x-goog-api-key": key})
    except httpx2.TimeoutException:
        raise TimeoutError from None
    except httpx2.TransportError as error:
        # The cause's text may quote the request.
        raise OSError(0, connection_text(error)) from None
    return response.status_code, response.content


def connection_text(error: Exception) -> str:
    return (
        "its certificate is not trusted"
        if "CERTIFICATE_VERIFY" in str(error)
        else "no connection can be made"
    )
