"""Google's refusals: `{"error": {"code", "message", "status", "details"}}` (google.rpc.Status as JSON).

Messages are worded as recorded answers of the real API word them, because clients match on them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.sandbox.wire import Json

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
TYPES = "type.googleapis.com/google.rpc."
DOMAIN = "generativelanguage.googleapis.com"


class ApiError(Exception):
    """An answer with a status of 400 or above; `details` are google.rpc messages, `@type` first."""

    def __init__(self, code: int, message: str, details: Sequence[Json] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = list(details)

    def document(self) -> Json:
        error: Json = {"code": self.code, "message": self.message, "status": STATUS[self.code]}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def invalid(message: str) -> ApiError:
    return ApiError(400, message)


def payload(problem: str, place: str = "") -> ApiError:
    """A body that is no JSON or no request; `place` is the field's path in snake_case."""
    message = f"Invalid JSON payload received. {problem}"
    violation: Json = {"field": place} if place else {}
    violation["description"] = message
    return ApiError(400, message, [{"@type": f"{TYPES}BadRequest", "fieldViolations": [violation]}])


def no_key() -> ApiError:
    return ApiError(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API.",
    )


def bad_key() -> ApiError:
    message = "API key not valid. Please pass a valid API key."
    info: Json = {
        "@type": f"{TYPES}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": DOMAIN},
    }
    local: Json = {"@type": f"{TYPES}LocalizedMessage", "locale": "en-US", "message": message}
    return ApiError(400, message, [info, local])


def no_model(model: str, version: str, method: str) -> ApiError:
    return ApiError(
        404,
        f"models/{model} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods.",
    )


def no_file(name: str) -> ApiError:
    """Google does not tell a missing file from a forbidden one."""
    return ApiError(403, f"You do not have permission to access the File {name} or it may not exist.")


def no_cache() -> ApiError:
    """Google does not tell a missing cache from a forbidden one."""
    return ApiError(403, "CachedContent not found (or permission denied)")


def out_of_quota(model: str) -> ApiError:
    """The free tier's limit of requests per minute, with a fractional delay as Google gives it."""
    metric = f"{DOMAIN}/generate_content_free_tier_requests"
    guide = "https://ai.google.dev/gemini-api/docs/rate-limits"
    message = (
        "You exceeded your current quota, please check your plan and billing details. For more information "
        f"on this error, head to: {guide}.\n* Quota exceeded for metric: {metric}, limit: 10, "
        f"model: {model}\nPlease retry in 23.512s."
    )
    violation: Json = {
        "quotaMetric": metric,
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": "10",
    }
    links = [{"description": "Learn more about Gemini API quotas", "url": guide}]
    details: list[Json] = [
        {"@type": f"{TYPES}Help", "links": links},
        {"@type": f"{TYPES}QuotaFailure", "violations": [violation]},
        {"@type": f"{TYPES}RetryInfo", "retryDelay": "23.512s"},
    ]
    return ApiError(429, message, details)
