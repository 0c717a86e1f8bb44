"""CORS preflights: the gateway answers them itself, and asks for no key, because browsers send none."""

from __future__ import annotations

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.routes import Route
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.cors import preflight_headers
from gatekeeper.proxy.failures import Refused
from gatekeeper.proxy.headers import CALL_ID_HEADER, decode_value, first_value
from gatekeeper.proxy.http import HttpCarrier
from gatekeeper.proxy.lifecycle import CallLifecycle
from gatekeeper.refusals import Reason, Refusal

NO_CONTENT = 204


class PreflightCarrier(HttpCarrier):
    """Sends no request to the upstream."""

    async def relay(self, call: ProxyCall) -> None:
        call.row.status = NO_CONTENT
        call.mark_first_byte()
        headers = [*preflight_headers(call.headers), (CALL_ID_HEADER, call.row.id.encode())]
        await self.stream.start(NO_CONTENT, headers)
        await self.stream.finish()
        call.relay_complete = True


class PreflightCall(CallLifecycle):
    """A call without a key, a begin and a cost; nothing of the path is looked at."""

    def parse(self) -> None:
        super().parse()
        self.route = Route(action="preflight", billing=Billing.FREE)
        self.row.action, self.row.model, self.row.resource = self.route.action, None, None
        self.row.stream = False

    def authenticate(self) -> None: ...

    def admit(self) -> None:
        if self.context.allowed_origins.allowed(self.headers) is None:
            raise Refused(_origin_refusal(decode_value(first_value(self.headers, b"origin") or b"")))

    def begin(self) -> None: ...


def _origin_refusal(origin: str) -> Refusal:
    return Refusal(
        Reason.POLICY,
        f"Pages of the Origin {origin[:200]!r} may not use this gateway. The operator can allow it by the "
        "setting allowed_origins (GATEKEEPER_ALLOWED_ORIGINS).",
    )
