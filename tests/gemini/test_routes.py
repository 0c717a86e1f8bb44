"""Every method of Google's discovery documents, and the ways around metering, by request line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.gemini.actions import billing_of
from gatekeeper.gemini.routes import MAX_PATH_LENGTH, Billing, Route, route

# Method and path, the action, and the model where the path names one.
METHODS = {
    Billing.METERED: """
        POST /v1/models/m:generateContent                          generateContent m
        POST /v1alpha/models/m:generateContent                     generateContent m
        POST /v1beta/models/m:generateContent                      generateContent m
        POST /v1beta/models/m:streamGenerateContent                streamGenerateContent m
        POST /v1beta/models/m:embedContent                         embedContent m
        POST /v1beta/models/m:batchEmbedContents                   batchEmbedContents m
        POST /v1beta/models/m:generateAnswer                       generateAnswer m
        POST /v1beta/tunedModels/t:generateContent                 generateContent tunedModels/t
        POST /v1beta/tunedModels/t:streamGenerateContent           streamGenerateContent tunedModels/t
        POST /v1beta/dynamic/d:generateContent                     generateContent dynamic/d
        POST /v1beta/dynamic/d:streamGenerateContent               streamGenerateContent dynamic/d
        POST /v9omega2/models/m:generateContent                    generateContent m
        POST /v1beta/models/a/b:generateContent                    generateContent a/b
        POST /v1beta/models/models/m:generateContent               generateContent m
    """,
    Billing.FREE: """
        POST /v1beta/models/m:countTokens                          countTokens m
        POST /v1beta3/models/m:countTextTokens                     countTextTokens m
        POST /v1beta2/models/m:countMessageTokens                  countMessageTokens m
        POST /v1beta/tunedModels/t:transferOwnership               transferOwnership tunedModels/t
        GET /v1beta/models                                         models.list
        GET /v1beta/models/m                                       models.get m
        HEAD /v1beta/models/m                                      models.get m
        GET /v1beta/models/m/operations                            models.operations.list m
        GET /v1beta/models/m/operations/o                          models.operations.get m
        GET /v1beta/tunedModels                                    tunedModels.list
        POST /v1beta/tunedModels                                   tunedModels.create
        GET /v1beta/tunedModels/t                                  tunedModels.get
        PATCH /v1beta/tunedModels/t                                tunedModels.patch
        DELETE /v1beta/tunedModels/t                               tunedModels.delete
        GET /v1beta/tunedModels/t/operations/o                     tunedModels.operations.get
        POST /v1beta/tunedModels/t/operations/o:cancel             tunedModels.operations.cancel
        GET /v1beta/tunedModels/t/permissions                      tunedModels.permissions.list
        POST /v1beta/tunedModels/t/permissions                     tunedModels.permissions.create
        PATCH /v1beta/tunedModels/t/permissions/p                  tunedModels.permissions.patch
        GET /v1beta/files                                          files.list
        POST /v1beta/files                                         files.create
        GET /v1beta/files/f                                        files.get
        DELETE /v1beta/files/f                                     files.delete
        POST /v1beta/files:register                                files.register
        GET /v1beta/files/f:download                               files.download
        GET /download/v1beta/files/f:download                      files.download
        POST /upload/v1beta/files                                  files.upload
        PUT /upload/v1beta/files                                   files.upload
        POST /resumable/upload/v1beta/files                        files.upload
        GET /v1beta/generatedFiles                                 generatedFiles.list
        GET /v1beta/generatedFiles/g/operations/o                  generatedFiles.operations.get
        GET /v1beta/batches                                        batches.list
        GET /v1beta/batches/b                                      batches.get
        DELETE /v1beta/batches/b                                   batches.delete
        POST /v1beta/batches/b:cancel                              batches.cancel
        PATCH /v1beta/batches/b:updateGenerateContentBatch         batches.updateGenerateContentBatch
        PATCH /v1beta/batches/b:updateEmbedContentBatch            batches.updateEmbedContentBatch
        GET /v1beta/cachedContents                                 cachedContents.list
        GET /v1beta/cachedContents/c                               cachedContents.get
        DELETE /v1beta/cachedContents/c                            cachedContents.delete
        GET /v1beta/corpora                                        corpora.list
        POST /v1beta/corpora                                       corpora.create
        POST /v1beta/corpora/c:query                               corpora.query
        GET /v1beta/corpora/c/operations/o                         corpora.operations.get
        DELETE /v1beta/corpora/c/permissions/p                     corpora.permissions.delete
        POST /v1beta/corpora/c/documents/d:query                   corpora.documents.query
        GET /v1beta/corpora/c/documents/d/chunks                   corpora.documents.chunks.list
        PATCH /v1beta/corpora/c/documents/d/chunks/h               corpora.documents.chunks.patch
        POST /v1beta/corpora/c/documents/d/chunks:batchCreate      corpora.documents.chunks.batchCreate
        POST /v1beta/corpora/c/documents/d/chunks:batchUpdate      corpora.documents.chunks.batchUpdate
        POST /v1beta/corpora/c/documents/d/chunks:batchDelete      corpora.documents.chunks.batchDelete
        GET /v1/ragStores/r/operations/o                           ragStores.operations.get
        GET /v1/ragStores/r/upload/operations/o                    ragStores.operations.get
        GET /v1beta/fileSearchStores                               fileSearchStores.list
        DELETE /v1beta/fileSearchStores/s                          fileSearchStores.delete
        GET /v1beta/fileSearchStores/s/documents                   fileSearchStores.documents.list
        GET /v1beta/fileSearchStores/s/operations/o                fileSearchStores.operations.get
        GET /v1beta/fileSearchStores/s/upload/operations/o         fileSearchStores.operations.get
        DELETE /v1/operations/o                                    operations.delete
        POST /v1alpha/auth_tokens                                  auth_tokens.create
        GET /v1beta/agents/a                                       agents.get
        POST /v1beta/agents                                        agents.create
        POST /v1beta/environments                                  environments.create
        GET /v1beta/environments/e/files                           environments.files.list
        GET /v1beta/environments/e/files/a/b/c                     environments.files.get
        GET /v1beta/voices/v                                       voices.get
        GET /v1beta/interactions/i                                 interactions.get
        DELETE /v1beta/interactions/i                              interactions.delete
        GET /v1beta/triggers                                       triggers.list
        GET /v1beta/triggers/t/executions                          triggers.executions.list
        POST /v1beta/webhooks                                      webhooks.create
        POST /v1beta/webhooks/w:ping                               webhooks.ping
        POST /v1beta/webhooks/w:rotateSigningSecret                webhooks.rotateSigningSecret
        OPTIONS /v1beta/files                                      files.options
        GET /v1beta/openai/models                                  openai.models.list
        GET /v1beta/openai/models/m                                openai.models.get m
        GET /v1beta/openai/models/models/m                         openai.models.get m
        GET /v1beta/openai/models/a/b                              openai.models.get a/b
        GET /v1beta/models/a/b                                     models.get a/b
        GET /v1beta/openai/batches/b                               openai.batches.get
        GET /v1beta/openai/videos/v                                openai.videos.get
    """,
    Billing.UNKNOWN: """
        POST /v1beta/models/m:batchGenerateContent                 batchGenerateContent m
        POST /v1beta/models/m:asyncBatchEmbedContent               asyncBatchEmbedContent m
        POST /v1beta/tunedModels/t:batchGenerateContent            batchGenerateContent tunedModels/t
        POST /v1beta/models/m:predict                              predict m
        POST /v1beta/models/m:predictLongRunning                   predictLongRunning m
        POST /v1beta2/models/m:generateText                        generateText m
        POST /v1beta2/models/m:generateMessage                     generateMessage m
        POST /v1beta3/models/m:embedText                           embedText m
        POST /v1beta3/models/m:batchEmbedText                      batchEmbedText m
        POST /v1beta/models/m:somethingNew                         somethingNew m
        POST /v1beta/cachedContents                                cachedContents.create
        PATCH /v1beta/cachedContents/c                             cachedContents.patch
        POST /v1beta/fileSearchStores                              fileSearchStores.create
        POST /v1beta/fileSearchStores/s:importFile                 fileSearchStores.importFile
        POST /v1beta/fileSearchStores/s:uploadToFileSearchStore    fileSearchStores.uploadToFileSearchStore
        POST /upload/v1/fileSearchStores/s:uploadToFileSearchStore fileSearchStores.uploadToFileSearchStore
        POST /upload/v1beta/novelties                              novelties.upload
        POST /v1beta/interactions                                  interactions.create
        POST /v1beta/interactions/i/cancel                         interactions.cancel
        POST /v1beta/interactions/i/auth_tokens                    interactions.auth_tokens.create
        POST /v1beta/decisions                                     decisions.create
        POST /v1beta/voices                                        voices.create
        POST /upload/v1beta/environments/e/files/a/b               environments.upload
        POST /v1beta/triggers                                      triggers.create
        POST /v1beta/triggers/t/executions                         triggers.executions.create
        POST /v1beta/openai/chat/completions                       openai.chat.completions
        POST /v1beta/openai/embeddings                             openai.embeddings
        POST /v1beta/openai/images/generations                     openai.images.generations
        POST /v1beta/openai/videos                                 openai.videos
        POST /v1beta/openai/batches                                openai.batches
        POST /v1beta/openai/batches/b/cancel                       openai.batches
        POST /v1beta/openai/responses                              openai.responses
        GET /v1beta/novelties                                      novelties.list
        GET /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent BidiGenerateContent
        GET /ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateMusic BidiGenerateMusic
    """,
}


def methods() -> Iterator[tuple[str, str, Route]]:
    for charge, table in METHODS.items():
        for line in filter(None, map(str.strip, table.splitlines())):
            method, path, action, *model = line.split()
            stream = action.startswith(("stream", "Bidi"))
            yield method, path, Route(action, model[0] if model else None, charge, stream)


CALLS = list(methods())


@pytest.mark.parametrize(("method", "path", "expected"), CALLS)
def test_a_method_of_google(method: str, path: str, expected: Route) -> None:
    assert route(method, path.encode(), b"") == expected


@pytest.mark.parametrize(
    "path",
    ["/", "/v1beta", "/v1beta/", "/models/m:countTokens", "/V1beta/files", "/v/files", "/$discovery/rest"],
)
def test_a_path_that_no_table_knows_has_no_action_and_is_not_free(path: str) -> None:
    found = route("GET", path.encode(), b"")
    assert found.action is None
    assert found.billable


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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

BILLABLE = [(method, path) for method, path, known in CALLS if known.billable]
FREE = [(method, path) for method, path, known in CALLS if not known.billable]


def percent(character: str) -> list[str]:
    once, low = f"%{ord(character):02X}", f"%{ord(character):02x}"
    return [once, low, once.replace("%", "%25"), "".join(f"%{ord(c):02x}" for c in once), "%25" + low[1:]]


SLASHES = ["//", "/./", "/x/../", "\\", "/%2e/", "/x/%2E%252e/", "/x/.%2e\\", *percent("/"), *percent("\\")]
ENDS = ["", "/", "/.", "%2F", "/x/..", "\\"]


@st.composite
def respelt(draw: st.DrawFn, calls: list[tuple[str, str]]) -> tuple[str, str, str]:
    """A call, and another spelling of its path (or, where nothing was changed, the same)."""
    method, path = draw(st.sampled_from(calls))
    pieces = list(path)
    for place in draw(st.sets(st.integers(1, len(path) - 1), max_size=12)):
        choice = SLASHES if path[place] == "/" else percent(path[place])
        pieces[place] = draw(st.sampled_from(choice))
    pieces[0] += draw(st.sampled_from(["", "/", "x/../", "./", "x/%2e%2e/"]))
    return method, path, "".join(pieces) + draw(st.sampled_from(ENDS))


@settings(max_examples=300, deadline=None)
@given(respelt(BILLABLE))
def test_a_billable_path_in_another_spelling_is_the_same_route_and_objected_to(
    call: tuple[str, str, str],
) -> None:
    method, path, spelling = call
    plain, found = route(method, path.encode(), b""), route(method, spelling.encode(), b"")
    assert found.billable
    assert msgspec.structs.replace(found, rejection=None) == plain
    assert (found.rejection is not None) == (spelling != path)


@settings(max_examples=150, deadline=None)
@given(respelt(FREE))
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


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES + TWISTS), max_size=8), st.sampled_from(["", "%3f", ";", "%23", "\t"]))
def test_no_way_to_a_billable_verb_is_free(way: list[str], junk: str) -> None:
    path = "/" + "/".join([*way, f"m{junk}:generateContent"])
    assert route("POST", path.encode("latin-1"), b"").billable


@settings(max_examples=100, deadline=None)
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(("method", "path", "known"), CALLS)
def test_what_an_action_costs_is_told_by_its_name_too(method: str, path: str, known: Route) -> None:
    action = known.action or ""
    if not action.startswith("openai.") and "upload" not in path:
        assert billing_of(action) is known.billing
