"""Resources that a key owns as if its calls had made them."""

from __future__ import annotations

from gatekeeper.keys.secrets import hash_secret
from gatekeeper.ledger.call import CallRecord, CreatedResources, Outcome
from rig.gateway import Running


def owns(gateway: Running, secret: str, *names: str, google_key: str = "#1") -> None:
    """The key with this secret has made these resources, with that Google key."""
    call = CallRecord(id="made", started_at=1, method="POST", path="/", outcome=Outcome.OK)
    key = gateway.gateway.registry.by_hash(hash_secret(secret))
    call.key_id = key.record.token_id if key else "?"
    call.upstream_key, call.made = google_key, CreatedResources(names)
    gateway.gateway.proxy.context.owners.apply(call)
