"""The form of a journal line; no I/O.

A line is the CRC-32 of the JSON that follows, as 8 lower-case hex digits, a space, the JSON, a newline.
The first line of a segment is the header `{"v":1,"segment":42}`, the others are `{"begin":{call…}}` and
`{"end":{call…}}`. A line counts when it is whole and its checksum is right. Keys that this version does
not know are skipped, so calls may gain fields; `v` rises when older versions would misread the file.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from gatekeeper.ledger.entry import Call

VERSION = 1


class Record(msgspec.Struct, omit_defaults=True):
    """What a line says: the header has `v` and `segment`, any other line one of `begin` and `end`."""

    v: int | None = None
    segment: int | None = None
    begin: Call | None = None
    end: Call | None = None


ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder(Record)


def frame(record: Record) -> bytes:
    """The record as a line. A call's `usage` must be valid JSON; that is not checked again here.

    Google's JSON comes pretty-printed: a newline byte inside JSON is always white space, so a blank does.
    """
    try:
        body = ENCODER.encode(record)
    except UnicodeEncodeError:  # a lone surrogate in an alias or a path must not cost the row
        body = ENCODER.encode(Record(begin=readable(record.begin), end=readable(record.end)))
    body = body.replace(b"\n", b" ")
    return b"%08x %b\n" % (crc32(body), body)


def unframe(line: bytes) -> Record | None:
    """What a whole line says; None where it is damaged."""
    body = line[9:-1]
    if line[:9] != b"%08x " % crc32(body):
        return None
    try:
        return DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def readable(call: Call | None) -> Call | None:
    """The call with `?` for whatever UTF-8 cannot hold."""
    if call is None:
        return None
    fields = msgspec.structs.asdict(call)
    texts = {name: well_formed(value) for name, value in fields.items() if type(value) is str}
    return msgspec.structs.replace(call, tags=[well_formed(tag) for tag in call.tags], **texts)


def well_formed(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
