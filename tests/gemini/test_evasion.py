"""No spelling of a metered call is taken for anything else: it is that call, or it is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples
from rig.spellings import HARMFUL, METERED, Spelling, spellings

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.evasion import ALLOWED_PARAMETERS
from gatekeeper.gemini.routes import Route, route


def found(spelling: Spelling, method: str = "POST") -> Route:
    path, _, query = spelling.target.encode().partition(b"?")
    fields = [header.split(": ") for header in spelling.headers]
    media_types = " ".join(value for name, value in fields if name in ("Content-Type", "Accept"))
    names = frozenset(name.lower().encode() for name, _ in fields)
    return route(method, path, query, names, media_types.encode())


def refused(known: Route) -> bool:
    return known.rejection is not None or known.wrong_base_url


@cases("path", METERED)
def test_another_spelling_of_a_metered_call_is_refused_or_metered(path: str) -> None:
    plain = route("POST", f"/{path}".encode(), b"")
    assert plain.billing is Billing.METERED
    tried = list(spellings(path))
    assert len(tried) >= 200
    for spelling in tried:
        known = found(spelling)
        assert refused(known) or known.billing is Billing.METERED, spelling


def test_what_harms_is_never_let_pass_in_any_spelling() -> None:
    """Stricter: of the spellings of queries and headers none passes, metered or not."""
    path = METERED[0]
    for spelling in spellings(path):
        if spelling.headers or "?" in spelling.target:
            assert refused(found(spelling)), spelling


@pytest.mark.parametrize("path", ["v1beta/files", "v1beta/interactions", "v1beta/cachedContents/c"])
def test_a_free_read_in_any_spelling_that_says_it_is_a_costly_method_is_refused(path: str) -> None:
    costly = route("POST", f"/{path}".encode(), b"").billable
    for spelling in spellings("v1beta/models/m:generateContent"):
        _, mark, query = spelling.target.partition("?")
        folded = spelling.target.lower() + "".join(spelling.headers).lower()
        if (mark or spelling.headers) and ("httpmethod=" in folded or "method-override" in folded):
            known = found(Spelling(f"/{path}{mark}{query}", spelling.headers), "GET")
            assert refused(known) == costly, spelling


JUNK = st.text(alphabet="\t\n\x00 +;,&?#|[]()._-$%:*~/\\\u200b\uff1b2", min_size=1, max_size=3)


# Made once: to make a strategy takes longer than to draw from it.
FORMS = st.sampled_from([str, str.upper, str.title, lambda word: word + word])
INSERTED = st.lists(st.tuples(JUNK, st.sampled_from([0, 1, 2])), max_size=2)
TIMES = st.integers(0, 2)


@st.composite
def decorated(draw: st.DrawFn, words: st.SearchStrategy[str]) -> str:
    """A word with junk before, in or behind it, in another case, or encoded, any number of times."""
    text = draw(FORMS)(draw(words))
    for junk, halves in draw(INSERTED):
        place = len(text) * halves // 2
        text = text[:place] + junk + text[place:]
    for _ in range(draw(TIMES)):
        text = quote(text, safe="")
    return text


@settings(max_examples=examples(60))
@given(
    decorated(st.sampled_from(list(HARMFUL))),
    st.sampled_from(["", "alt=sse&", "prettyPrint=1;", "quotaUser="]),
)
def test_no_decoration_of_a_harmful_parameter_passes(name: str, before: str) -> None:
    query = f"{before}{name}=proto".encode()
    values = dict(pair.split(b"=", 1) for pair in query.split(b"&") if b"=" in pair)
    known = route("POST", b"/v1beta/models/m:generateContent", query)
    spelt_right = all(key.decode().replace("%24", "$") in ALLOWED_PARAMETERS for key in values)
    assert known.rejection is not None or (spelt_right and before == "quotaUser=")


@settings(max_examples=examples(60))
@given(
    decorated(
        st.sampled_from(["generateContent", "streamGenerateContent", "embedContent", "generateAnswer"])
    ),
    st.sampled_from(["/v1beta/models/m:{}", "/v1beta/{}", "/{}", "/v1beta/files/f:{}", "/v1beta/openai/{}"]),
    st.sampled_from(["POST", "PUT", "PATCH"]),
)
def test_no_decoration_of_a_metered_action_passes_as_another(action: str, form: str, method: str) -> None:
    path = form.format(action).encode()
    known = route(method, path, b"")
    assert refused(known) or known.billing is Billing.METERED, known
