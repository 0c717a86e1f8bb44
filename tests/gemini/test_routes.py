"""Every method of Google's discovery documents, and the ways around metering, by request line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.gemini.actions import billing_of
from gatekeeper.gemini.routes import MAX_PATH_LENGTH, Billing, Route, route

# Every method of Google's discovery documents and SDKs, and some that nobody has heard of.
TABLE = Path(__file__).with_name("methods.tsv").read_text().splitlines()[1:]
VERSIONS = ["v1", "v1beta", "v1alpha", "v1main", "v1beta2", "v1beta3", "v9omega2"]


class Case(NamedTuple):
    method: str
    path: str
    known: Route

    def at(self, version: str) -> bytes:
        return self.path.replace("{v}", version).encode()


def of_methods() -> Iterator[Case]:
    for line in TABLE:
        billing, method, path, *names = line.split("\t")
        action, model, resource = (None if name == "-" else name for name in names)
        stream = bool(action) and action.startswith(("stream", "Bidi"))
        upload = path.startswith(("/upload/", "/resumable/"))
        known = Route(action, model, Billing(billing), stream, resource=resource, upload=upload)
        yield Case(method, path, known)


CASES = list(of_methods())


@cases("case", CASES)
def test_a_method_of_google_in_every_version(case: Case) -> None:
    for version in VERSIONS:
        assert route(case.method, case.at(version), b"") == case.known


@cases(
    ("method", "path", "resource"),
    [
        ("GET", "/v1beta/files/%66", "files/f"),
        ("GET", "/v1beta//files/./f", "files/f"),
        ("GET", "/v1beta/files/f\N{LATIN SMALL LETTER E WITH ACUTE}", None),
        ("GET", "/v1beta/files/a%20b", None),
        ("GET", "/v1beta/files/f%0A", None),
        ("POST", "/v1beta/interactions/i/auth_tokens/secret", "interactions/i"),
        ("GET", "/v1beta/models/a/b/operations/o", None),
    ],
)
def test_a_resource_is_named_as_google_writes_it_or_not_at_all(
    method: str, path: str, resource: str | None
) -> None:
    assert route(method, path.encode(), b"").resource == resource


@cases(
    ("query", "stream"),
    [
        (b"", False),
        (b"stream=true", True),
        (b"last_event_id=1&stream=True", True),
        (b"stream=1&x=2", True),
        (b"stream=false", False),
        (b"upstream=true", False),
        (b"stream=trueish", False),
    ],
)
def test_an_interaction_may_be_read_as_a_stream(query: bytes, stream: bool) -> None:
    assert route("GET", b"/v1beta/interactions/i", query).stream is stream
    assert not route("GET", b"/v1beta/files/f", query).stream


@cases(
    "path",
    ["/", "/v1beta", "/v1beta/", "/models/m:countTokens", "/V1beta/files", "/v/files", "/$discovery/rest"],
)
def test_a_path_that_no_table_knows_has_no_action_and_is_not_free(path: str) -> None:
    found = route("GET", path.encode(), b"")
    assert found.action is None
    assert found.billable


@cases(
    "path",
    [
        "/v1beta/models/m:",
        "/v1beta/models/:generateContent",
        "/v1beta/models:generateContent",
        "/v1beta/models/a/b:cancel",
        "/v1beta/models/m:generateContent:countTokens",
        "/v1beta/models/m:countTokens;x=1",
        "/v1beta/models/m:countTokens:generateContent",
        "/v1beta/models/m:counttokens",
        "/v1beta/files/f:generateContent",
        "/v1beta/Files",
        "/upload/v1beta/files:generateContent",
        "/upload/v1beta/models/m:generateContent",
        "/v1beta/openai",
    ],
)
def test_an_odd_path_is_never_free_by_accident(path: str) -> None:
    assert route("POST", path.encode(), b"").billing is Billing.UNKNOWN


@cases(
    "path",
    [
        "/batch",
        "/batch/generativelanguage/v1beta",
        "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
        "/$rpc/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
    ],
)
def test_what_is_not_the_rest_api_is_refused(path: str) -> None:
    found = route("POST", path.encode(), b"")
    assert found.billable
    assert "call the REST method itself" in (found.rejection or "")


# Ways around metering: the path

CALLS = [(case.method, case.at(version).decode(), case.known) for case in CASES for version in VERSIONS]
BILLABLE = [(method, path) for method, path, known in CALLS if known.billable]
FREE = [(method, path) for method, path, known in CALLS if not known.billable]


def percent(character: str) -> list[str]:
    once, low = f"%{ord(character):02X}", f"%{ord(character):02x}"
    return [once, low, once.replace("%", "%25"), "".join(f"%{ord(c):02x}" for c in once), "%25" + low[1:]]


SLASHES = ["//", "/./", "/x/../", "\\", "/%2e/", "/x/%2E%252e/", "/x/.%2e\\", *percent("/"), *percent("\\")]
# Made once: to make a strategy takes longer than to draw from it.
BEGINS = st.sampled_from(["", "/", "x/../", "./", "x/%2e%2e/"])
ENDS = st.sampled_from(["", "/", "/.", "%2F", "/x/..", "\\"])


@cache
def places(length: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(1, length - 1), max_size=12)


@cache
def spellings(character: str) -> st.SearchStrategy[str]:
    return st.sampled_from(SLASHES if character == "/" else percent(character))


@st.composite
def respelt(draw: st.DrawFn, calls: st.SearchStrategy[tuple[str, str]]) -> tuple[str, str, str]:
    """A call, and another spelling of its path (or, where nothing was changed, the same)."""
    method, path = draw(calls)
    pieces = list(path)
    for place in draw(places(len(path))):
        pieces[place] = draw(spellings(path[place]))
    pieces[0] += draw(BEGINS)
    return method, path, "".join(pieces) + draw(ENDS)


@settings(max_examples=examples(60))
@given(respelt(st.sampled_from(BILLABLE)))
def test_a_billable_path_in_another_spelling_is_the_same_route_and_objected_to(
    call: tuple[str, str, str],
) -> None:
    method, path, spelling = call
    plain, found = route(method, path.encode(), b""), route(method, spelling.encode(), b"")
    assert found.billable
    assert msgspec.structs.replace(found, rejection=None) == plain
    assert (found.rejection is not None) == (spelling != path)


FOLDS: dict[str, Callable[[str], str]] = {
    "case": str.swapcase,
    "width": lambda character: chr(ord(character) + 0xFEE0),
    "escaped": lambda character: f"%{ord(character):02x}",
    "tailed": lambda character: character + ";x=1",
    "dotted": lambda character: character + ".",
    "joined": lambda character: character + "\u200d",
    "padded": lambda character: character + "%20",
}


@settings(max_examples=examples(60))
@given(
    st.sampled_from(BILLABLE),
    st.dictionaries(st.integers(1, 200), st.sampled_from(sorted(FOLDS)), min_size=1, max_size=6),
    st.sampled_from(["", "x/../", "/", "./", "download/", "upload/../"]),
)
def test_no_spelling_of_a_billable_route_is_free(
    call: tuple[str, str], places: dict[int, str], prefix: str
) -> None:
    method, path = call
    spelt = [
        FOLDS[places[at]](character) if at in places and character.isalnum() else character
        for at, character in enumerate(path[1:], 1)
    ]
    assert route(method, f"/{prefix}{''.join(spelt)}".encode(), b"").billable


@given(respelt(st.sampled_from(FREE)))
def test_a_free_path_passes_in_any_spelling(call: tuple[str, str, str]) -> None:
    method, path, spelling = call
    assert route(method, spelling.encode(), b"") == route(method, path.encode(), b"")


PIECES = [
    "v1beta",
    "models",
    "m",
    "files",
    "f:download",
    "m:countTokens",
    "upload",
    "openai",
    "corpora",
    "batches",
]
TWISTS = ["..", ".", "", "%2e%2e", "%252E.", "x%2f..", "a\\..", "%00", "\xff"]


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from(PIECES + TWISTS), max_size=8), st.sampled_from(["", "%3f", ";", "%23", "\t"]))
def test_no_way_to_a_billable_verb_is_free(way: list[str], junk: str) -> None:
    path = "/" + "/".join([*way, f"m{junk}:generateContent"])
    assert route("POST", path.encode("latin-1"), b"").billable


@given(st.text(alphabet="POSTGEbc", max_size=6), st.binary(max_size=40), st.binary(max_size=40))
def test_any_request_line_is_a_route_and_only_costly_ones_are_objected_to(
    method: str, path: bytes, query: bytes
) -> None:
    known = route(method, b"/" + path, query)
    assert known.billable or known.rejection is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/m:generateContent#/../../files",
        "/v1beta/files#/../models/m:generateContent",
        "/v1beta/models/x%" + "25" * MAX_PATH_LENGTH,
    ],
    ids=["a server may end a path at #", "or may not", "an endless encoding is not even decoded"],
)
def test_a_path_that_nobody_can_read_safely_is_refused_even_where_it_looks_free(path: str) -> None:
    assert route("POST", path.encode(), b"").rejection == "a path has at most 2000 bytes, and no `#`"


# Ways around metering: the query and the headers

GENERATE = b"/v1beta/models/m:generateContent"


@cases(
    ("query", "named"),
    [
        ("fields=candidates", "`fields`"),
        ("$fields=candidates", "`$fields`"),
        ("%24fields=candidates", "`$fields`"),
        ("%66ields=candidates", "`fields`"),
        ("alt=sse&FIELDS=candidates", "`FIELDS`"),
        ("prettyPrint&quotaUser=&&fields", "`fields`"),
        ("afields=x", "`afields`"),
        ("fields.x=y", "`fields.x`"),
        ("=", "``"),
        ("x=fields=a", "`x`"),
        ("%ff=%ff&%", "`\N{REPLACEMENT CHARACTER}`"),
        ("ALT=SSE", "`ALT`"),
        ("alt=SSE", "`alt=SSE`"),
        ("prettyPrint=true;fields=x", "`prettyPrint=true;fields=x`"),
        ("quotaUser=u%26fields=x", "`quotaUser`"),
        ("sk-a-secret-in-the-wrong-place", "`sk-a-se…`"),
        ("alt=json%26key=a-secret-there", "`alt=json&…`"),
        ("callback=f", "`callback`"),
        ("$callback=f", "`$callback`"),
        ("alt=proto", "`alt=proto`"),
        ("$alt=proto", "`$alt=proto`"),
        ("%24alt=%70roto", "`$alt=proto`"),
        ("alt=media", "`alt=media`"),
        ("alt=sse&alt=proto", "`alt=proto`"),
        ("alt=json;enum-encoding=proto", "`alt=json;enum-encoding=proto`"),
        ("$ct=application/x-protobuf", "`$ct`"),
        ("$httpMethod=GET", "`$httpMethod`"),
        ("$httpHeaders=X-Goog-FieldMask:candidates", "`$httpHeaders`"),
    ],
)
def test_a_parameter_that_hides_the_usage_is_objected_to(query: str, named: str) -> None:
    assert named in (route("POST", GENERATE, query.encode()).rejection or "")
    assert route("GET", b"/v1beta/files/f:download", query.encode()).rejection is None


@cases(
    "query",
    [
        "",
        "alt=sse",
        "alt=json",
        "alt=",
        "$alt=json;enum-encoding=int",
        "%24alt=json%3Benum-encoding%3Dint",
        "$alt=json;+enum-encoding=int",
        "prettyPrint=false&quotaUser=u",
        "&quotaUser=a%20b%2Bc@example.com&&%24.xgafv=2&userIp=::1&quotaUser=QQ==&",
    ],
)
def test_other_parameters_pass(query: str) -> None:
    assert route("POST", GENERATE, query.encode()).rejection is None


@pytest.mark.parametrize("header", [b"x-goog-fieldmask", b"x-http-method-override"])
def test_a_header_that_hides_the_usage_is_objected_to(header: bytes) -> None:
    names = frozenset({b"host", header})
    assert f"`{header.decode()}`" in (route("POST", GENERATE, b"", names).rejection or "")
    assert route("POST", b"/v1beta/files", b"", names).rejection is None


@pytest.mark.parametrize(
    ("query", "headers"),
    [(b"", frozenset({b"x-http-method-override"})), (b"%24httpMethod=POST", frozenset())],
)
def test_a_free_read_that_says_it_is_another_method_is_judged_as_that(
    query: bytes, headers: frozenset[bytes]
) -> None:
    found = route("GET", b"/v1beta/interactions", query, headers)
    assert found.billable
    assert found.rejection is not None
    assert route("GET", b"/v1beta/files", query, headers).action == "files.create"


def test_what_a_rewriting_proxy_adds_is_no_override() -> None:
    names = frozenset({b"x-envoy-original-path"})
    assert route("POST", GENERATE, b"", names).rejection is None
    assert "protobuf" in (route("POST", GENERATE, b"", names, b"application/x-protobuf").rejection or "")
    both = route("POST", GENERATE, b"", names | {b"x-original-path"})
    assert "`x-original-path`" in (both.rejection or "")


def test_to_ask_what_may_be_asked_is_free_unless_it_says_it_is_another_method() -> None:
    assert route("OPTIONS", GENERATE, b"alt=sse") == Route("generateContent", "m", Billing.FREE)
    names = frozenset({b"x-http-method-override"})
    assert route("OPTIONS", GENERATE, b"", names).rejection is not None


def test_a_path_of_vertex_ai_is_called_one() -> None:
    path = b"/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent"
    assert "Vertex AI" in (route("POST", path, b"").rejection or "")


def test_the_path_is_rejected_before_the_query() -> None:
    assert "canonical form" in (route("POST", b"/" + GENERATE, b"fields=x").rejection or "")


@cases(
    ("query", "passes"),
    [
        (b"pageSize=2&filter=x", True),
        (b"alt=json", True),
        (b"alt=media", False),
        (b"$Fields%2520[]=x", False),
        (b"x;callback=f", False),
        (b"pageToken=" + b"%25" * 2 + b"41", True),
        (b"pageToken=%" + b"25" * 9 + b"41", False),
    ],
)
def test_a_read_that_no_table_knows_may_have_any_parameter_but_those_that_hide(
    query: bytes, passes: bool
) -> None:
    assert (route("GET", b"/v1beta/novelties", query).rejection is None) == passes
    assert route("GET", b"/v1beta/files", query).rejection is None


@pytest.mark.parametrize("form", [b"application/x-protobuf", b"*/* application/GRPC"])
def test_a_costly_call_is_not_made_in_a_form_that_nobody_reads(form: bytes) -> None:
    assert "JSON" in (route("POST", GENERATE, b"", frozenset(), form).rejection or "")
    assert route("POST", b"/v1beta/files", b"", frozenset(), form).rejection is None


@cases(
    "path",
    [
        "/",
        "/v1beta",
        "/models/m:generateContent",
        "/v1beta/v1/models",
        "/v1/chat/completions",
        "/gemini/v1beta/models",
        "/v1beta/openai/v1/models",
        "/v1beta/openai/openai/models",
        "/x/v1beta/models",
    ],
)
def test_a_path_that_is_none_of_googles_is_astray(path: str) -> None:
    assert route("POST", path.encode(), b"fields=x") == Route(action=None, wrong_base_url=True)
    assert not route("POST", b"/v1beta/novelties", b"").wrong_base_url


def test_a_path_that_leads_above_its_root_and_a_strange_method_are_refused_even_where_free() -> None:
    assert route("GET", b"/v1beta/../../files", b"").rejection == "the path has too many `..` segments"
    assert "it has DELETE, GET" in (route("BREW", b"/v1beta/files", b"").rejection or "")


@cases("case", CASES)
def test_what_an_action_costs_is_told_by_its_name_too(case: Case) -> None:
    action = case.known.action or ""
    if not action.startswith("openai.") and "upload" not in case.path:
        assert billing_of(action) is case.known.billing
