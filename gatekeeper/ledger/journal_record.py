"""The format of a line of the journal.

It is the CRC-32 of the JSON that follows, as 8 lower-case hex digits, a space, the JSON, a newline. The first
line of a segment is the header `{"v":1,"segment":42}`, the others are `{"begin":{call…}}`, `{"end":{call…}}`
and `{"amend":{"call":{…}}}`. A line is valid if it is complete and its checksum matches. Unknown keys are
ignored, so calls may gain fields; `v` is incremented when older versions would misread the file.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from gatekeeper.ledger.call import Amendment, CallRecord, JournalEntry

VERSION = 1


class JournalRecord(msgspec.Struct, omit_defaults=True):
    """The content of a line: the header has `v` and `segment`, any other one of `begin`, `end`, `amend`."""

    v: int | None = None
    segment: int | None = None
    begin: CallRecord | None = None
    end: CallRecord | None = None
    amend: Amendment | None = None

    @property
    def entry(self) -> JournalEntry | None:
        """What consumers read; None for a header and a begin."""
        return self.end or self.amend


ENCODER = msgspec.json.Encoder()
DECODER = msgspec.json.Decoder(JournalRecord)


def encode_header(segment: int) -> bytes:
    """The first line of a segment."""
    return _line(ENCODER.encode(JournalRecord(v=VERSION, segment=segment)))


# A call's `usage` must be valid JSON; that is not checked here.


def encode_begin(call: CallRecord) -> bytes:
    return _line(b'{"begin":%b}' % _encode(call, call))


def encode_end(call: CallRecord) -> bytes:
    return _line(b'{"end":%b}' % _encode(call, call))


def encode_amend(amendment: Amendment) -> bytes:
    return _line(b'{"amend":%b}' % _encode(amendment, amendment.call))


def _encode(content: CallRecord | Amendment, call: CallRecord) -> bytes:
    """Encodes a call or an amendment. Text that a line cannot contain is replaced in the object too, so that
    consumers that get the object make the same row as those that read the line."""
    try:
        body = ENCODER.encode(content)
    except UnicodeEncodeError:  # because of a lone surrogate in an alias or a path
        replace_surrogates(call)
        body = ENCODER.encode(content)
    # Google's JSON is pretty-printed: a newline byte in JSON is always white space, so it becomes a blank.
    if b"\n" in body:
        body = body.replace(b"\n", b" ")
        if call.usage is not None:
            call.usage = msgspec.Raw(bytes(call.usage).replace(b"\n", b" "))
    return body


def _line(body: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(body), body)


def decode_line(line: bytes) -> JournalRecord | None:
    """The record of a complete line; None if it is damaged."""
    # The checksum comes before any decoding: damaged bytes must not reach a parser.
    body = line[9:-1]
    if line[:9] != b"%08x " % crc32(body):
        return None
    try:
        return DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def replace_surrogates(call: CallRecord) -> None:
    """Puts `?` in place of what UTF-8 cannot encode."""
    for name in CallRecord.__struct_fields__:
        if type(value := getattr(call, name)) is str:
            setattr(call, name, valid_utf8(value))
    call.tags = [valid_utf8(tag) for tag in call.tags]


def valid_utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
