"""An OpenAPI document as one HTML page: every operation with its parameters, bodies, answers and examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape

from gatekeeper.openapi.schema import Document, Schema

_CODE = re.compile(r"`([^`]+)`")
_METHODS = ("get", "post", "put", "patch", "delete")


def html_page(document: Document, stylesheet: str) -> str:
    """The page, whose style sheet is at that path. It has no script, and its links are relative: a proxy may
    have it under another path."""
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(title)}</title><link rel="stylesheet" href="{escape(stylesheet)}"></head><body>',
        f"<h1>{escape(title)}</h1><p>{_prose(info['description'])}</p>",
        f'<p>The same as data: <a href="openapi.json">/openapi.json</a>.</p>{_navigation(document)}',
        *(_section(document, tag) for tag in document["tags"]),
        _components(document),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _navigation(document: Document) -> str:
    names = [tag["name"] for tag in document["tags"]] + ["schemas"]
    links = [f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names]
    return f"<nav>{''.join(links)}</nav>"


def _section(document: Document, tag: Document) -> str:
    shown = [
        _operation(document, path, method, item)
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item and tag["name"] in item[method]["tags"]
    ]
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2><p>{_prose(tag["description"])}</p>{"".join(shown)}'


def _operation(document: Document, path: str, method: str, item: Document) -> str:
    operation = item[method]
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    body = [
        f"<p>{_prose(operation.get('description') or item.get('description', ''))}</p>",
        f"<p>{_access(document, operation)}</p>",
        _table("Parameters", _parameter_rows(parameters)),
        _content("Body", operation.get("requestBody", {}).get("content", {})),
        *(_response(status, response) for status, response in operation["responses"].items()),
    ]
    heading = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    identity = escape(operation["operationId"])
    return f'<details id="{identity}"><summary>{heading}</summary>{"".join(body)}</details>'


def _access(document: Document, operation: Document) -> str:
    schemes = [name for choice in operation.get("security", document["security"]) for name in choice]
    described = document["components"]["securitySchemes"]
    return " Or: ".join(_prose(described[name]["description"]) for name in schemes) or "It needs no key."


def _parameter_rows(parameters: Iterable[Document]) -> Iterator[tuple[str, ...]]:
    for parameter in parameters:
        needed = ", required" if parameter.get("required") else ""
        where = f"{parameter['in']}{needed}"
        yield f"<code>{escape(parameter['name'])}</code>", where, _prose(parameter["description"])


def _response(status: str, response: Document) -> str:
    return _content(f"{status}: {response['description']}", response.get("content", {}))


def _content(title: str, content: Document) -> str:
    if not content and title == "Body":
        return ""
    shown = [f"<h3>{_prose(title)}</h3>"]
    for media_type, described in content.items():
        schema = _reference(described["schema"])
        shown.append(f"<p>{escape(media_type)} {schema}</p>")
        # That of an error is the same for every status: once among the schemas is enough.
        if "example" in described and "problem" not in media_type:
            shown.append(f"<pre>{escape(_json(described['example']))}</pre>")
    return "".join(shown)


def _reference(schema: Schema) -> str:
    """The type in words, with links to named schemas."""
    if name := schema.get("$ref"):
        name = escape(name.rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if alternatives := schema.get("anyOf"):
        return " or ".join(map(_reference, alternatives))
    kind = schema.get("type", "any JSON")
    kinds = [kind] if isinstance(kind, str) else kind
    of = f" of {_reference(schema['items'])}" if "array" in kinds and "items" in schema else ""
    rules = [f"{name} {schema[name]}" for name in ("pattern", "minimum", "maximum", "enum") if name in schema]
    return escape(" or ".join(kinds)) + of + "".join(f", <code>{escape(rule)}</code>" for rule in rules)


def _components(document: Document) -> str:
    shown = [_component(name, schema) for name, schema in document["components"]["schemas"].items()]
    return f'<h2 id="schemas">schemas</h2>{"".join(shown)}'


def _component(name: str, schema: Schema) -> str:
    rows = _property_rows("", schema)
    anchor = f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>'
    return f"{anchor}<p>{_prose(schema.get('description', ''))}</p>{_table('', rows)}"


def _property_rows(prefix: str, schema: Schema) -> Iterator[tuple[str, ...]]:
    for name, value in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield f"<code>{escape(path)}</code>", _reference(value), _prose(value.get("description", ""))
        yield from _property_rows(f"{path}.", value)
        yield from _property_rows(f"{path}[].", value.get("items", {}))


def _table(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    heading = f"<h3>{title}</h3>" if title else ""
    return f"{heading}<table>{''.join(lines)}</table>" if lines else ""


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
