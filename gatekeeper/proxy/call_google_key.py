"""The Google key of one call: chosen from the pool, and replaced by another one if Google responds with an
error, as long as nothing has gone to the client and nothing can have been charged.

Google does not charge an error response. A request is repeated with another key: after a 429 (quota), or if
its key was refused; after a 500, 503 or 504 if it is a read, or creates no resource at Google; and after a
403 or 404 if it names a resource whose project is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gatekeeper.gemini.actions import METERED_ACTIONS, OPENAI_EMBEDDING, Billing
from gatekeeper.gemini.quota_errors import exhausted_quotas
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.routes import Route
from gatekeeper.gemini.upstream_error import UpstreamError
from gatekeeper.keys.cool_downs import KeyRequirement
from gatekeeper.keys.google_key_lease import Lease
from gatekeeper.keys.google_keys import GoogleKeys
from gatekeeper.ledger.call import CallRecord, truncate
from gatekeeper.logs import log
from gatekeeper.proxy.created_resources import ResourceProjects
from gatekeeper.proxy.failures import (
    MAX_ERROR_MESSAGE,
    CallFailed,
    GoogleKeyRefused,
    Refused,
    UpstreamTimeout,
    google_key_error,
)
from gatekeeper.proxy.upstream_response import ErrorResponse
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.runtime import now_micros
from gatekeeper.times import iso

TOO_MANY = 429
OVERLOADED_STATUSES = frozenset({500, 503, 504})
MAX_OVERLOADED_RETRIES = 2
"""Retries with other keys after such a response: the request itself may be the cause."""
REMEDY = "put a valid key in its place"
# Google responds 403 also for a file or a cache that does not exist, so as not to reveal which do.
NOT_FOUND_STATUSES = frozenset({403, 404})
READS = frozenset({"GET", "HEAD"})
CREATES_NOTHING = METERED_ACTIONS | {"countTokens", "openai.chat.completions", OPENAI_EMBEDDING}


NOT_TRIED: Mapping[str, int] = MappingProxyType({})


class RetryWithAnotherKey(Exception):
    """Raised to repeat the request with the call's new key."""


class CallGoogleKey:
    """The Google key of one call: `secret` is that of the current key; `tried` has the labels of the keys
    before it, each with the status of Google's response."""

    __slots__ = ("_is_session", "_lease", "_pool", "_projects", "_resources", "tried")

    def __init__(self, pool: GoogleKeys, projects: ResourceProjects) -> None:
        self._pool = pool
        self._projects = projects
        self._lease: Lease | None = None
        self._resources: tuple[str, ...] = ()
        self._is_session = False  # which an earlier call has begun with its key
        self.tried: Mapping[str, int] = NOT_TRIED

    @property
    def secret(self) -> str:
        return self._lease.key.secret if self._lease else ""

    @property
    def has_several_projects(self) -> bool:
        """Whether the keys are of several projects, so that a resource is visible to some of them only."""
        return self._projects.has_several

    @property
    def depends_on_body(self) -> bool:
        """Whether the choice of the key depends on the request's body."""
        return self._projects.has_several or self._pool.have_model_limits

    def choose(self, row: CallRecord, route: Route, label: str | None) -> None:
        """Chooses the key by the request's head; `label` is that of the session's key, if there is a session.
        Raises Refused."""
        is_counted = route.model is not None or route.billing is not Billing.FREE
        # A call without a model has quotas of its own: the key cools down for its action only.
        action = None if is_counted else route.action or row.method
        want = KeyRequirement(route.model, action)
        if self._projects.has_several and row.resource is not None:
            self._resources = (row.resource,)
            want = want._replace(project=self._projects.project_of(self._resources))
        self._lease = self._pool.choose(want, now_micros(), label)
        if self._lease is None:
            raise no_key_for(route.model)
        self._is_session = label == self._lease.key.label
        row.upstream_key = self._lease.key.label

    def check(self, model: str | None) -> None:
        """Raises Refused where `choose` and `choose_by_body` would; leases no key."""
        if not self._pool.is_for(KeyRequirement(model)):
            raise no_key_for(model)

    def choose_by_body(self, row: CallRecord, named: RequestSummary) -> None:
        """Chooses again if the body has named a model, or resources, for which another key is needed. To be
        called before anything goes upstream. Raises Refused."""
        if (lease := self._lease) is None or not self.depends_on_body:
            return
        self._resources = (*self._resources, *resources_of(named))
        project = lease.want.project or self._projects.project_of(self._resources)
        models = () if lease.want.model else named.models
        want = lease.want._replace(model=next(iter(models), lease.want.model), project=project)
        if want != lease.want:
            now = now_micros()
            lease.finish(now)
            self._lease = self._pool.choose(want, now)
            if self._lease is None:
                raise no_key_for(want.model)
            row.upstream_key = self._lease.key.label

    @property
    def projects(self) -> tuple[str, ...]:
        """All projects, in the order of their keys."""
        return self._pool.projects

    def project_of(self, resource: str) -> str | None:
        """The project of a resource, if it is known."""
        return self._projects.project_of((resource,))

    def switch_project(self, row: CallRecord, project: str) -> None:
        """Switches to a key of this project, for a request that only its keys can make. Raises Refused."""
        if (lease := self._lease) is None or not self._projects.has_several or lease.want.project == project:
            return
        now, want = now_micros(), lease.want._replace(project=project)
        lease.finish(now)
        self._lease = self._pool.choose(want, now)
        if self._lease is None:
            raise no_key_for(want.model)
        row.upstream_key = self._lease.key.label

    # By Google's responses

    def succeeded(self) -> None:
        """The response is a proper one."""
        if (lease := self._lease) is not None:
            if lease.is_watched:
                lease.succeeded(now_micros())
            if self.tried and self._resources:
                self._projects.record(self._resources, lease.key.project)

    def failed(self, row: CallRecord, response: ErrorResponse, *, repeatable: bool) -> None:
        """Records what an error response says about the key. Raises RetryWithAnotherKey if the call has got
        another one, and GoogleKeyRefused if Google has refused the key and there is no other."""
        refused = response.is_key_error()
        if (lease := self._lease) is not None:
            if refused:
                self._note_refusal(lease, response.error, now_micros())
            elif response.status == TOO_MANY:
                self._note_quota(lease, response.error, now_micros())
            may_switch = repeatable and len(self._pool) > 1 and not self._is_session
            if may_switch and self._may_succeed_with_another(row, response.status, refused=refused):
                self._switch_key(row, lease, response.status, refused=refused)
        if refused:
            raise google_key_error(row.upstream_key or "")

    def _switch_key(self, row: CallRecord, lease: Lease, status: int, *, refused: bool) -> None:
        """Raises RetryWithAnotherKey if there is another key for the request."""
        now, tried = now_micros(), {*self.tried, lease.key.label}
        if status in NOT_FOUND_STATUSES and not refused:
            # All keys of a project see the same resources.
            tried.update(self._pool.labels_of(lease.key.project))
        another = self._pool.choose_another(lease.want, now, tried)
        if another is None:
            return
        lease.finish(now)
        self.tried = {**self.tried, lease.key.label: status}
        self._lease, row.upstream_key = another, another.key.label
        log.info("google_key_changed", call=row.id, status=status, key=lease.key.label, to=another.key.label)
        raise RetryWithAnotherKey

    def _may_succeed_with_another(self, row: CallRecord, status: int, *, refused: bool) -> bool:
        """Whether another key may get another response, and nothing was charged or created."""
        if refused or status == TOO_MANY:
            return True
        if status in OVERLOADED_STATUSES:
            others = sum(tried in OVERLOADED_STATUSES for tried in self.tried.values())
            return others < MAX_OVERLOADED_RETRIES and (row.method in READS or row.action in CREATES_NOTHING)
        unknown = self._lease is not None and self._lease.want.project is None and bool(self._resources)
        return status in NOT_FOUND_STATUSES and self._projects.has_several and unknown

    def _note_refusal(self, lease: Lease, error: UpstreamError | None, now: int) -> None:
        why = (error and (error.reason or error.status or error.message)) or "no reason given"
        # With a single key each call that it fails is logged by `finish`.
        if lease.note_refusal(why, now) and len(self._pool) > 1:
            log.error("google_key_refused", key=lease.key.label, why=why, remedy=REMEDY)

    def _note_quota(self, lease: Lease, error: UpstreamError | None, now: int) -> None:
        quotas = lease.note_exhausted(exhausted_quotas(error, lease.want.model, now), now)
        for quota in quotas if len(self._pool) > 1 else ():
            project = lease.key.project if quota.whole_project else None
            log.warning(
                "google_key_exhausted",
                key=lease.key.label,
                project=project,
                quota=quota.cause,
                until=iso(quota.until),
            )

    def note_quota(self, error: UpstreamError | None) -> None:
        """Records that a quota is exhausted, as an error in a running stream reports."""
        if self._lease is not None:
            self._note_quota(self._lease, error, now_micros())

    def note_refusal(self, error: UpstreamError | None) -> None:
        """Records that Google has refused the key in a running session."""
        if self._lease is not None:
            self._note_refusal(self._lease, error, now_micros())

    def finish(self, row: CallRecord, failure: CallFailed | None) -> None:
        """The call has ended."""
        if (lease := self._lease) is not None:
            now = now_micros()
            if isinstance(failure, UpstreamTimeout):
                lease.timed_out(now)
            # Said in a stream that had begun.
            if row.status == 200 and row.reason == "RESOURCE_EXHAUSTED":
                self._note_quota(lease, None, now)
            lease.finish(now, row.prompt_tokens or 0)
        if isinstance(failure, GoogleKeyRefused):
            log.error("google_key_refused", key=row.upstream_key, remedy=REMEDY)
        if self.tried and row.error_message is not None:
            tried = ", ".join(f"{label} ({status})" for label, status in self.tried.items())
            note = f" Tried before with {tried}."
            row.error_message = truncate(row.error_message, MAX_ERROR_MESSAGE - len(note)) + note


def resources_of(named: RequestSummary) -> Iterable[str]:
    """The resources of a project that a body names."""
    return (
        *named.cached_contents,
        *named.files,
        *named.input_files,
        *named.interactions,
        *named.file_search_stores,
    )


def no_key_for(model: str | None) -> Refused:
    return Refused(
        Refusal(
            Reason.MODEL_NOT_ALLOWED,
            f"None of the gateway's Google keys is for the model {model}. Use another model, or ask the "
            "gateway's administrator.",
            {"model": model or ""},
        )
    )
