"""`/openapi.json` and `/docs` against the running app: each route is described, as it is."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from rig import json_values
from rig.cases import cases
from rig.json_schema import faults

from gatekeeper.admin.call_schemas import COLUMN_MEANINGS
from gatekeeper.admin.documentation import TAGS
from gatekeeper.admin.field_schemas import FIELD_SCHEMAS
from gatekeeper.admin.parameters import PARAMETERS
from gatekeeper.admin.requests import Query
from gatekeeper.keys.audit import ACTIONS
from gatekeeper.keys.fields import FIELDS, FieldError, parse_fields
from gatekeeper.ledger.call import COLUMNS
from gatekeeper.refusals import Reason

NOW = 1_750_852_800_000_000


@pytest.fixture
async def document(admin) -> dict[str, Any]:
    return await admin.get("/openapi.json")


def operations(document):
    """(path, method, operation) of the admin API."""
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        if not path.startswith("/gemini")
        for method, operation in item.items()
    ]


def concrete(path):
    return path.replace("{call_id}", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8")


def schemas_within(schema, at=""):
    yield at, schema
    for name, value in schema.get("properties", {}).items():
        yield from schemas_within(value, f"{at}.{name}")
    for part in schema.get("anyOf", ()):
        yield from schemas_within(part, at)
    if "items" in schema:
        yield from schemas_within(schema["items"], f"{at}[]")


async def test_every_route_of_the_app_is_described(admin, document) -> None:
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in admin.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == {(path, method) for path, method, _ in operations(document)}
    for path, _, operation in operations(document):
        assert operation["summary"], path
        start, _, access = operation["description"].partition("\n\n")
        assert start, f"the view of {path} has no docstring"
        assert not start.startswith("Needs"), f"the view of {path} has no docstring"
        assert "security" in operation or "role" in access
        assert operation["tags"][0] in TAGS, f"TAGS of admin.documentation lacks {operation['tags']}"


async def test_every_member_of_every_document_has_a_meaning(document) -> None:
    for name, schema in document["components"]["schemas"].items():
        for at, part in schemas_within(schema, name):
            if "." in at and not at.endswith("[]") and part != {"type": "null"}:
                assert "$ref" in part or "anyOf" in part or "description" in part, f"{at} has no description"


def test_the_tables_of_the_code_are_described_whole() -> None:
    assert FIELD_SCHEMAS.keys() == FIELDS.keys(), "describe each field of a key in admin/field_schemas.py"
    assert list(COLUMN_MEANINGS) == list(COLUMNS), "describe each column in admin/call_schemas.py"
    assert set(PARAMETERS) == set(Query.__struct_fields__)


async def test_every_example_is_as_its_schema_says(document) -> None:
    components = document["components"]["schemas"]
    for path, _, operation in operations(document):
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for kind in (kind for content in contents for kind in content.get("content", {}).values()):
            assert faults(kind["example"], kind["schema"], components) == [], path
    for name, schema in components.items():
        for at, part in schemas_within(schema, name):
            for example in part.get("examples", ()):
                assert faults(example, part, components) == [], at


async def test_a_parameter_that_is_not_described_is_refused_and_the_others_are_named(admin, document) -> None:
    for path, method, operation in operations(document):
        answer = await admin.client.request(method, concrete(path), params={"nope": "1"})
        described = [given["name"] for given in operation.get("parameters", ()) if given["in"] == "query"]
        problem = answer.json()
        assert (answer.status_code, problem["field"], problem["allowed"]) == (400, "nope", described), path


async def test_a_field_that_is_not_described_is_refused(admin, document) -> None:
    key = await admin.post("/key/generate")
    named = {"/key": {"key": key["token_id"]}, "/group": {"group": "shop"}, "/user": {"user_id": "ann"}}
    for path, method, operation in operations(document):
        if method == "post":
            nameless = path in ("/key/generate", "/key/bulk", "/import")
            names = {} if nameless else named.get(path.rpartition("/")[0], {})
            answer = await admin.client.post(path, json={**names, "nope": 1})
            assert (answer.status_code, answer.json()["field"]) == (400, "nope"), path
            if "requestBody" not in operation:
                assert "it takes none" in answer.json()["detail"]


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**62, 2**63, 0.5, 1e13, "", " ", "a", "x" * 15, "x" * 16, "x" * 201, "30d",
    "12h", "1.5", "-1", "1e3", "NaN", "d", [], ["a"], [""], [1], {}, {"a": [1]}, "cancel", "g*", "0",
]  # fmt: skip


@cases("name", FIELDS)
def test_a_field_takes_what_its_schema_says_and_nothing_else(name: str) -> None:
    for value in VALUES:
        try:
            parse_fields({name: value}, now=NOW)
            taken = True
        except FieldError:
            taken = False
        assert taken is (faults(value, FIELD_SCHEMAS[name], {}) == []), f"{name}: {value!r}"


# What differs from the example of the document, or is asked more than once; by path.
BODIES = {"/key/generate": {"key_alias": "another", "budget_duration": "1d", "duration": "1h"}}
QUERIES: dict[str, list[dict[str, Any]]] = {
    "/spend": [{"by": "day,tag", "top": 1}, {"by": "hour,key", "limit": 1, "since": "2025-01-01"}, {}],
    "/key/info": [{"key": "web-frontend"}],
    "/key/list": [{"limit": 1}],
    "/group/info": [{"group": "shop"}],
    "/user/info": [{"user_id": "user-17"}],
    "/calls": [{"limit": 1}, {"limit": 1, "sort": "-cost"}, {"running": "true"}, {}],
}
LAST = ["/group/delete", "/user/delete", "/key/delete", "/sql/lend", "/sql/return"]
WITHOUT_END = ["/calls/stream"]


async def test_every_answer_is_as_described(admin, document) -> None:
    """Each operation, with the example of its body: a key of that name is there."""
    finished = admin.priced(tags=["a"], user_id="u", stream=True)
    admin.finish(status=429, outcome="upstream_error", model="gemini-9", reason="RESOURCE_EXHAUSTED")
    running = admin.start()
    await admin.post("/key/generate", {"key_alias": "web-frontend"})
    for path, method, operation in sorted(operations(document), key=lambda each: each[0] in LAST):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = BODIES.get(path, content.get("example")) if method == "post" else None
        for params in QUERIES.get(path, [{}] if path not in WITHOUT_END else []):
            for call in (finished, running) if "{call_id}" in path else (finished,):
                at = path.replace("{call_id}", call.id)
                answer = await admin.client.request(method, at, params=params, json=body)
                assert answer.status_code == 200, (path, answer.text)
                check(answer, operation, document, f"{method} {path}")
    # All that was done just now can be asked for by its name.
    done = {change["action"] for change in (await admin.get("/audit", limit=1000))["changes"]}
    assert done <= set(ACTIONS)
    # The gateway itself reads prices again; users' names are those of groups.
    never = {"prices.reload", "prices.reprice"}
    assert set(ACTIONS) - done <= never


def check(answer, operation, document, at) -> None:
    described = operation["responses"].get(str(answer.status_code))
    assert described, f"{at}: {answer.status_code} is not described"
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in described["content"], f"{at}: {media_type} is not described"
    value = answer.json() if media_type.endswith("json") else answer.text
    schema = described["content"][media_type]["schema"]
    assert faults(value, schema, document["components"]["schemas"]) == [], at


async def test_the_reasons_of_refusals_are_those_of_the_code(document) -> None:
    item = document["paths"]["/gemini/{rest}"]
    details = document["components"]["schemas"]["Refusal"]["properties"]["error"]["properties"]["details"]
    assert set(details["items"]["properties"]["reason"]["enum"]) == {reason.value for reason in Reason}
    text = json.dumps(item["post"]["responses"])
    assert all(reason in text for reason in Reason)


async def test_neither_needs_a_key_and_both_say_which_route_does(guarded) -> None:
    del guarded.client.headers["Authorization"]
    document = await guarded.get("/openapi.json")
    for path, method, operation in operations(document):
        answer = await guarded.client.request(method, concrete(path))
        assert (answer.status_code == 401) is ("security" not in operation), path
        check(answer, operation, document, path)


async def test_the_page_shows_every_operation_without_a_script_or_the_network(admin, document) -> None:
    answer = await admin.client.get("/docs")
    page = answer.text
    for path, _, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page, path
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
    assert "<script" not in page
    assert "style=" not in page
    assert page.count("<link") == 1
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "src=" not in page
    assert 'href="/' not in page
    assert document["servers"] == [{"url": str(admin.client.base_url).rstrip("/")}]
    style = await admin.client.get("/docs.css")
    assert (style.headers["content-type"], "url(" in style.text) == ("text/css; charset=utf-8", False)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_sent_is_answered_as_described(admin, document, seed) -> None:
    """Requests at random, near what is described: no fault of ours, no status and no member without a
    description."""
    random, components = Random(seed), document["components"]["schemas"]
    admin.priced()
    found = [each for each in operations(document) if each[0] not in WITHOUT_END]
    for _ in range(60):
        path, method, operation = random.choice(found)
        given = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
        chosen = [each for each in given if random.random() < 0.5]
        params = {each["name"]: json_values.value(random, each["schema"], components) for each in chosen}
        params = {name: each if isinstance(each, str) else json.dumps(each) for name, each in params.items()}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        content = b"" if body is None else json.dumps(json_values.value(random, body, components)).encode()
        answer = await admin.client.request(
            method, concrete(path), params=params, content=content if method == "post" else b""
        )
        check(answer, operation, document, f"{method} {path} {params} {content!r}")
