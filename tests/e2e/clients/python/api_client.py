"""google-api-python-client, which calls Google's other APIs, and sends what no SDK of Gemini's does."""

import io

from driver import BASE, KEY, operation, run

# recipe
from googleapiclient.discovery import build_from_document


def service(description):
    return build_from_document({**description, "rootUrl": f"{BASE}/"}, developerKey=KEY)


# end of recipe
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload

FLASH = "models/gemini-2.5-flash"
BODY = {"contents": [{"role": "user", "parts": [{"text": "Tell me of bees"}]}]}
UPLOAD = {
    "accept": ["*/*"],
    "protocols": {
        "simple": {"multipart": True, "path": "/upload/v1beta/files"},
        "resumable": {"multipart": True, "path": "/resumable/upload/v1beta/files"},
    },
}


def method(path, verb="POST", query=(), **more):
    """As Google's description has it. What is in braces is a parameter."""
    named = [piece.split("}")[0] for piece in path.split("{+")[1:]]
    parameters = {name: {"type": "string", "location": "path", "required": True} for name in named}
    parameters |= {name: {"type": "string", "location": "query"} for name in query}
    body = {"request": {"$ref": "Any"}} if verb in ("POST", "PATCH") else {}
    return {
        "id": path,
        "path": path,
        "flatPath": path,
        "httpMethod": verb,
        "parameterOrder": named,
        "parameters": parameters,
        "response": {"$ref": "Any"},
        **body,
        **more,
    }


DESCRIPTION = {
    "name": "generativelanguage",
    "version": "v1beta",
    "servicePath": "",
    "schemas": {"Any": {"id": "Any", "type": "object", "additionalProperties": {"type": "any"}}},
    "parameters": {
        name: {"type": "string", "location": "query"}
        for name in ("key", "prettyPrint", "quotaUser", "uploadType")
    }
    | {"alt": {"type": "string", "location": "query", "default": "json"}},
    "resources": {
        "models": {
            "methods": {
                "generateContent": method("v1beta/{+model}:generateContent"),
                "streamGenerateContent": method("v1beta/{+model}:streamGenerateContent"),
                "list": method("v1beta/models", "GET", ["pageSize", "pageToken"]),
            }
        },
        "media": {
            "methods": {"upload": method("v1beta/files", supportsMediaUpload=True, mediaUpload=UPLOAD)}
        },
        "files": {
            "methods": {
                "get": method("v1beta/{+name}", "GET"),
                "download": method("v1beta/{+name}:download", "GET", supportsMediaDownload=True),
                "delete": method("v1beta/{+name}", "DELETE"),
            }
        },
        "cachedContents": {
            "methods": {
                "create": method("v1beta/cachedContents"),
                "patch": method("v1beta/{+name}", "PATCH", ["updateMask"]),
            }
        },
    },
}
google = service(DESCRIPTION)
kept = {}


@operation
def generate():
    return (
        google.models()
        .generateContent(model=FLASH, body=BODY, quotaUser="joe", prettyPrint="false")
        .execute()
    )


@operation
def stream():
    return google.models().streamGenerateContent(model=FLASH, body=BODY).execute()


@operation
def list_models():
    return google.models().list(pageSize="9").execute()


def upload(size, **how):
    media = MediaIoBaseUpload(io.BytesIO(b"bees" * (size // 4)), "text/plain", **how)
    return google.media().upload(body={"file": {"displayName": "bees"}}, media_body=media)


@operation
def upload_in_two_parts():
    return upload(400).execute()


@operation
def upload_by_content_range():
    """The older protocol: the address is a `Location`, chunks are PUT, 308 asks for more."""
    asked, progress, made = upload(800_000, resumable=True, chunksize=256 * 1024), [], None
    while made is None:
        status, made = asked.next_chunk()
        progress.append(status and status.resumable_progress)
    kept["file"] = made["file"]["name"]
    return progress


@operation
def get_file():
    return google.files().get(name=kept["file"]).execute()


@operation
def download_by_ranges():
    content, done = io.BytesIO(), False
    ranges = MediaIoBaseDownload(
        content, google.files().download_media(name=kept["file"]), chunksize=256 * 1024
    )
    while not done:
        _, done = ranges.next_chunk()
    return len(content.getvalue())


@operation
def delete_file():
    return google.files().delete(name=kept["file"]).execute()


@operation
def create_cache():
    content = {"role": "user", "parts": [{"text": "All about bees. " * 500}]}
    made = (
        google.cachedContents().create(body={"model": FLASH, "contents": [content], "ttl": "600s"}).execute()
    )
    kept["cache"] = made["name"]
    return made


@operation
def update_cache():
    return google.cachedContents().patch(name=kept["cache"], updateMask="ttl", body={"ttl": "900s"}).execute()


run()
