"""Python's standard library: no package at all, so that the comparison itself can be tried out anywhere."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from driver import BASE, KEY, operation, run


# recipe
def call(path, body):
    headers = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
    return urlopen(Request(f"{BASE}{path}", json.dumps(body).encode(), headers))


# end of recipe


def said(path, body):
    try:
        answer = call(path, body)
    except HTTPError as error:
        answer = error
    return {"status": answer.status, "reason": answer.reason, "body": answer.read().decode()}


BEES = {"contents": [{"parts": [{"text": "Tell me of bees"}]}]}
FLASH = "/v1beta/models/gemini-2.5-flash"


@operation
def generate():
    return said(f"{FLASH}:generateContent", BEES)


@operation
def stream():
    return said(f"{FLASH}:streamGenerateContent?alt=sse", BEES)


@operation
def count_tokens():
    return said(f"{FLASH}:countTokens", BEES)


@operation
def embed():
    return said("/v1beta/models/gemini-embedding-001:embedContent", {"content": BEES["contents"][0]})


@operation
def not_found():
    return said("/v1beta/models/bard-1:generateContent", BEES)


run()
