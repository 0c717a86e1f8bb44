"""A key's body may refer only to what the key may see: checked before the last byte of it goes upstream."""

from __future__ import annotations

from gatekeeper.gemini.request_summary import OVERLAP, ReferenceScan, references
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import Refused
from gatekeeper.refusals import Reason, Refusal

UNSEEN = Refusal(
    Reason.BAD_REQUEST,
    "Not relayed: this gateway looks at 16 MiB of a body, long strings not counted unless it is compressed, "
    "and the rest may refer to a file, a cache or another resource of somebody else. Send it as plain JSON, "
    "in smaller requests.",
)


def is_checked(call: ProxyCall) -> bool:
    """Whether the call's body may refer only to some resources. The bytes of a file refer to nothing."""
    return call.key is not None and not call.route.upload


class UnreadReferences:
    """Whether what could not be parsed of a body could refer to something. Fed with each chunk, once the
    call's parser has had it."""

    def __init__(self, call: ProxyCall) -> None:
        self._call = call
        self._scan = ReferenceScan()
        self._before = b""

    @property
    def are_possible(self) -> bool:
        failed = self._call.request_parser.failed
        return self._scan.found or (failed and self._call.head.is_compressed)

    def feed(self, chunk: bytes) -> None:
        if self._call.request_parser.failed:
            # The chunk before may end in the middle of a word.
            self._scan.feed(self._before + chunk)
            self._before = b""
        else:
            self._before = (self._before + chunk)[-OVERLAP:]


async def check_references(call: ProxyCall, unread: UnreadReferences) -> None:
    """To be called once all of the body was received. Raises Refused."""
    if call.route.upload:
        return
    if found := list(references(call.request_parser.summary)):
        await call.context.check_references(call.key, found)
    if call.key is not None and unread.are_possible:
        raise Refused(UNSEEN)
