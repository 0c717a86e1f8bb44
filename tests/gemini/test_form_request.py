"""What an OpenAI-style form names, however it is cut into chunks."""

from __future__ import annotations

import gzip
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.form_request import MAX_HEAD_BYTES, FormFields, form_boundary
from gatekeeper.gemini.request_parser import RequestParser, request_parser
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import RequestedMedia

BOUNDARY = b"----formdata-0a1"
TYPE = b"multipart/form-data; boundary=" + BOUNDARY
PICTURE = b"\x89PNG\r\n--not-a-boundary\r\n" * 300


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    head = b'Content-Disposition: form-data; name="%b"%b' % (name, more)
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head, value)


END = b"--%b--\r\n" % BOUNDARY
FORM = (
    part(b"model", b"models/veo-3.1-generate-preview")
    + part(b"input_reference", PICTURE, b'; filename="a.png"\r\nContent-Type: image/png')
    + part(b"seconds", b"4")
    + part(b"size", b"1920x1080")
    + part(b"n", b"2")
    + part(b"prompt", b"")
    + END
)
SUMMARY = RequestSummary(models=("veo-3.1-generate-preview",), media=RequestedMedia(2, 4, "1080p"))


def fed(parser: RequestParser, *chunks: bytes) -> RequestSummary:
    for chunk in chunks:
        parser.feed(chunk)
    return parser.summary


def parser(action: str = "openai.videos", encoding: bytes | None = None) -> RequestParser:
    return request_parser(action, encoding, TYPE)


@given(st.lists(st.integers(0, len(FORM)), max_size=12))
def test_a_form_is_read_at_any_chunking(cuts: list[int]) -> None:
    chunks = [FORM[start:end] for start, end in pairwise([0, *sorted(cuts), len(FORM)])]
    assert fed(parser(), *chunks) == SUMMARY


def test_byte_by_byte_and_compressed_it_is_the_same() -> None:
    assert fed(parser("openai.images.edits"), *[FORM[at : at + 1] for at in range(len(FORM))]) == SUMMARY
    assert fed(parser(encoding=b"gzip"), gzip.compress(FORM)) == SUMMARY


@cases(
    ("content_type", "boundary"),
    [
        (TYPE, BOUNDARY),
        (b'Multipart/Form-Data;boundary="a b"', b"a b"),
        (b"multipart/form-data; charset=utf-8; boundary=a", None),
        (b"multipart/form-data", None),
        (b"multipart/related; boundary=a", None),
        (b"application/json", None),
        (None, None),
    ],
)
def test_a_form_is_told_by_its_content_type(content_type: bytes | None, boundary: bytes | None) -> None:
    assert form_boundary(content_type) == boundary


def test_other_actions_have_no_forms() -> None:
    assert fed(parser("generateContent"), FORM) == RequestSummary(understood=False)


def test_every_repetition_of_the_model_counts() -> None:
    form = part(b"model", b"a") + part(b"model", b"b") + END
    assert fed(parser(), form) == RequestSummary(models=("a", "b"))


WRONG = {
    "nothing": b"",
    "no end": part(b"model", b"m"),
    "another boundary": FORM.replace(b"--" + BOUNDARY, b"--x"),
    "something before it": b"x" + FORM,
    "JSON": b'{"model": "m"}',
    "a boundary that goes on": b"--" + BOUNDARY + b"x\r\n",
    "a part without a name": b"--" + BOUNDARY + b"\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END,
    "a part without a head": b"--" + BOUNDARY + b"\r\n\r\nx\r\n" + END,
    "a name without quotes": part(b"m", b"x").replace(b'"m"', b"model") + END,
    "two names": part(b"a", b"x", b'\r\nContent-Disposition: form-data; name="model"') + END,
    "an encoded value": part(b"model", b"bQ==", b"\r\nContent-Transfer-Encoding: base64") + END,
    "an endless head": b"--" + BOUNDARY + b"\r\n" + b"x" * (MAX_HEAD_BYTES + 5),
}


@cases("body", WRONG.values(), ids=WRONG.keys())
def test_what_is_not_understood_says_so(body: bytes) -> None:
    assert not fed(parser(), body).understood
    assert not fed(parser(), *[body[at : at + 7] for at in range(0, len(body), 7)]).understood


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n", b"--" + BOUNDARY, FORM]), max_size=9))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    whole, cut = parser(), parser()
    assert fed(whole, b"".join(chunks)) == fed(cut, *chunks)


def test_a_large_file_is_passed_over() -> None:
    fields = FormFields(BOUNDARY)
    fields.feed(part(b"image", b"")[:-2])
    for _ in range(2_000):
        fields.feed(b"\r\n--" * 2_000)
    assert fields.feed(b"\r\n" + part(b"n", b"3") + END)[-1] == (b"n", b"3")
