"""Reads the usage of each request of a batch while its result streams. Bytes in, a ResponseSummary for each
response out; nothing raises, and memory is bounded whatever the result's length.

A result has one of two forms:

- The batch itself (`GET batches/x`, its creation, or the operation of the same name), with its responses
  inline as `inlinedResponses`. A batch that has ended has the same list twice, as `metadata.output` and as
  `response`: the first one counts. An OpenAI-style batch has no responses, but an `output_file_id`.
- Its result file in JSON Lines: each line has a `response` or an `error`, with the key of the request. In
  OpenAI's format the response is in `response.body`, beside its HTTP status.

Feed either one decompressed. Long base64 is removed before anything is buffered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from gatekeeper.gemini.billed_resources import BatchSummary, batch_summary
from gatekeeper.gemini.inline_data import InlineDataTruncator
from gatekeeper.gemini.json_values import as_object
from gatekeeper.gemini.response_parser import ResponseParser, ResponseSummary
from gatekeeper.gemini.splitters import BracketScanner

MAX_RESULT_BYTES = 4 * 2**20
"""Limit of one response, without long base64; a longer one is not read."""
MAX_BATCH_BYTES = 2**20
"""Limit of the batch document, without its responses."""


class BatchReader(Protocol):
    def feed(self, chunk: bytes) -> list[ResponseSummary]:
        """The responses that `chunk` completes."""
        ...

    def finish(self) -> tuple[list[ResponseSummary], BatchSummary]:
        """The responses that only the end of the body completes, and a summary of the batch. Call it once."""
        ...


class _Result(msgspec.Struct):
    response: msgspec.Raw = msgspec.Raw()
    error: object = None


class _Embedding(msgspec.Struct):
    """An embedding in a batch has a token count in place of a usage (`InlinedEmbedContentResponse` of
    Google's SDKs)."""

    embedding: msgspec.Raw = msgspec.Raw()
    token_count: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="tokenCount")


class _HttpResponse(msgspec.Struct):
    """A response in OpenAI's batch output."""

    body: msgspec.Raw = msgspec.Raw()


_decode_result = msgspec.json.Decoder(_Result).decode
_decode_embedding = msgspec.json.Decoder(_Embedding).decode
_decode_http = msgspec.json.Decoder(_HttpResponse).decode


class _Results:
    """Reads single results and counts them."""

    def __init__(self) -> None:
        self.responses = self.failed = self.unread = 0

    def read(self, result: bytes) -> tuple[bool, ResponseSummary | None]:
        """Whether the JSON is a result, and the response in it."""
        try:
            found = _decode_result(result)
            response = bytes(found.response)
            if response.startswith(b"{"):
                # No response of Google's own has a member `body`.
                response = bytes(_decode_http(response).body) or response
        # Invalid JSON or UTF-8; deep nesting exceeds the recursion limit.
        except (ValueError, RecursionError):
            self.unread += 1
            return False, None
        if not response.startswith(b"{"):
            self.failed += found.error is not None
            return found.error is not None, None
        parser = ResponseParser()
        if not parser.read(response):
            self.unread += 1
            return True, None
        if parser.error is not None:
            self.failed += 1
            return True, None
        self.responses += 1
        summary = parser.summary(complete=True, truncated=False)
        if summary.usage is None and b'"tokenCount"' in response:
            summary = msgspec.structs.replace(summary, usage=_usage_of_embedding(response))
        return True, summary


class BatchDocumentReader:
    """A `BatchReader` of the batch document."""

    def __init__(self) -> None:
        self._truncator = InlineDataTruncator()
        self._arrays = _OutermostArrays()
        self._results = _Results()
        self._counted: int | None = None  # the array that has the responses

    def feed(self, chunk: bytes) -> list[ResponseSummary]:
        found: list[ResponseSummary] = []
        for array, element in self._arrays.feed(self._truncator.feed(chunk)):
            # A batch that has ended has its responses twice; the first list of results counts.
            if self._counted not in (None, array):
                continue
            if element is None:
                self._results.unread += 1
                continue
            is_result, response = self._results.read(element)
            if is_result:
                self._counted = array
            if response:
                found.append(response)
        return found

    def finish(self) -> tuple[list[ResponseSummary], BatchSummary]:
        results = self._results
        try:
            document = as_object(msgspec.json.decode(self._arrays.skeleton))
        except (ValueError, RecursionError):
            document = None
        return [], msgspec.structs.replace(
            batch_summary(document or {}),
            responses=results.responses,
            failed=results.failed,
            unread=results.unread,
            complete=document is not None,
        )


class ResultFileReader:
    """A `BatchReader` of a result file, in JSON Lines."""

    def __init__(self) -> None:
        self._truncator = InlineDataTruncator()
        self._results = _Results()
        self._line = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> list[ResponseSummary]:
        *ends, rest = self._truncator.feed(chunk).split(b"\n")
        found: list[ResponseSummary] = []
        for end in ends:
            self._buffer(end)
            found += self._end_line()
        self._buffer(rest)
        return found

    def finish(self) -> tuple[list[ResponseSummary], BatchSummary]:
        """A last line without a line terminator counts if it is complete JSON."""
        found, results = self._end_line(), self._results
        return found, BatchSummary(
            responses=results.responses, failed=results.failed, unread=results.unread, complete=True
        )

    def _buffer(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._line) + len(piece) > MAX_RESULT_BYTES
        if self._too_long:
            self._line.clear()
        else:
            self._line += piece

    def _end_line(self) -> list[ResponseSummary]:
        line, too_long = bytes(self._line).strip(), self._too_long
        self._line, self._too_long = bytearray(), False
        if too_long:
            self._results.unread += 1
        if not line:
            return []
        before = self._results.unread
        is_result, response = self._results.read(line)
        # Not a result, but it may have been one.
        self._results.unread += not is_result and self._results.unread == before
        return [response] if response else []


class _OutermostArrays:
    """Splits a JSON document: yields the objects and arrays that are elements of its outermost arrays.
    `skeleton` is the document with these arrays emptied."""

    def __init__(self) -> None:
        self.skeleton = bytearray()
        self._brackets = BracketScanner()
        self._arrays = 0  # so far
        self._depth: int | None = None  # within the array; None outside of one
        self._element = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Yields the number of the array and the element; None for an element that is too long."""
        start = 0  # of the next bytes to copy, into the skeleton or the element
        for at in self._brackets.scan(chunk):
            opens = chunk[at] in b"{["
            if self._depth is None:
                if chunk[at] == ord("["):
                    self._outside(chunk[start : at + 1])
                    self._arrays, self._depth = self._arrays + 1, 0
            elif opens:
                start = at if self._depth == 0 else start
                self._depth += 1
            # The array ends here: the bytes after it belong to the skeleton.
            elif self._depth == 0:
                start, self._depth = at, None
            else:
                self._depth -= 1
                if self._depth == 0:
                    self._inside(chunk[start : at + 1])
                    yield self._arrays, self._end_element()
        if self._depth is None:
            self._outside(chunk[start:])
        elif self._depth > 0:
            self._inside(chunk[start:])

    def _outside(self, piece: bytes) -> None:
        # If this truncates it, it is no longer valid JSON and counts as incomplete.
        self.skeleton += piece[: MAX_BATCH_BYTES - len(self.skeleton)]

    def _inside(self, piece: bytes) -> None:
        self._too_long = self._too_long or len(self._element) + len(piece) > MAX_RESULT_BYTES
        if self._too_long:
            self._element.clear()
        else:
            self._element += piece

    def _end_element(self) -> bytes | None:
        element = None if self._too_long else bytes(self._element)
        self._element, self._too_long = bytearray(), False
        return element


def _usage_of_embedding(response: bytes) -> bytes | None:
    """The token count of an embedding, written as a `usageMetadata`; None if it has none."""
    found = _decode_embedding(response)
    count = bytes(found.token_count)
    return b'{"promptTokenCount":%b}' % count if found.embedding and count not in (b"", b"null") else None
