"""The pool of Google keys: which key a call is made with, and what responses change about the next ones."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gatekeeper.gemini.quota_errors import ExhaustedQuota
from gatekeeper.google_key import GoogleKey
from gatekeeper.keys.cool_downs import FORGET_AFTER_MICROS, RAMP_UP_LIMIT, KeyRequirement
from gatekeeper.keys.google_key_health import MINUTE, LastMinute
from gatekeeper.keys.google_key_lease import TIMEOUT_WAIT, Lease
from gatekeeper.keys.google_keys import GoogleKeys

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
MODEL = KeyRequirement(model="m")


def key(label: str, project: str | None = None, **said: object) -> GoogleKey:
    return GoogleKey(label=label, secret=f"secret-{label}", project=project or label, **said)  # pyright: ignore


def pool(*keys: GoogleKey) -> GoogleKeys:
    return GoogleKeys(keys)


def taken(keys: GoogleKeys, want: KeyRequirement = MODEL, now: int = NOW) -> str:
    """The label of the key of a call that is over at once."""
    lease = keys.choose(want, now)
    assert lease is not None
    lease.finish(now)
    return lease.key.label


def out_of_quota(keys: GoogleKeys, label: str, *quotas: ExhaustedQuota, now: int = NOW) -> None:
    lease = keys.choose(MODEL, now, label)
    assert lease is not None
    lease.note_exhausted(quotas, now)
    lease.finish(now)


def minute(*models: str, whole_project: bool = False, seconds: int = 60, now: int = NOW) -> ExhaustedQuota:
    return ExhaustedQuota("PerMinute", now + seconds * SECOND, models, whole_project)


def test_calls_one_after_another_take_turns() -> None:
    keys = pool(key("a"), key("b"))
    assert [taken(keys) for _ in range(4)] == ["a", "b", "a", "b"]
    assert [taken(keys, KeyRequirement(action="files.get")) for _ in range(2)] == ["a", "b"]


def test_a_slow_key_gets_fewer_of_the_calls() -> None:
    keys = pool(key("slow"), key("b"))
    slow = keys.choose(MODEL, NOW, "slow")
    assert slow is not None
    assert [taken(keys) for _ in range(3)] == ["b"] * 3
    slow.finish(NOW)
    assert taken(keys) == "slow"


def test_a_key_gets_calls_by_its_weight() -> None:
    keys = pool(key("a", weight=3.0), key("b"))
    at_once = [keys.choose(MODEL, NOW) for _ in range(8)]
    assert sum(lease is not None and lease.key.label == "a" for lease in at_once) == 6
    one_by_one = pool(key("a", weight=3.0), key("b"))
    assert sum(taken(one_by_one) == "a" for _ in range(8)) == 6


@pytest.mark.parametrize(("said", "tokens"), [({"rpm": 2}, 0), ({"tpm": 100}, 50)])
def test_beyond_its_rate_a_key_is_used_last(said: dict[str, int], tokens: int) -> None:
    keys = pool(key("a", weight=100.0, **said), key("b"))

    def call(now: int) -> str:
        lease = keys.choose(MODEL, now)
        assert lease is not None
        lease.finish(now, tokens)
        return lease.key.label

    assert [call(NOW) for _ in range(4)] == ["a", "a", "b", "b"]
    assert keys.health(NOW)[0].state == "full"
    assert call(NOW + 2 * MINUTE) == "a"
    alone = pool(key("a", **said))
    assert [taken(alone) for _ in range(4)] == ["a"] * 4


def test_a_key_is_for_its_models() -> None:
    keys = pool(key("a", models=("gemini-2.5-*",)), key("b", models=("gemini-3*",)))
    assert [taken(keys, KeyRequirement(model="gemini-3-pro")) for _ in range(2)] == ["b"] * 2
    assert keys.choose(KeyRequirement(model="veo-3"), NOW) is None
    assert {taken(keys, KeyRequirement(action="files.list")) for _ in range(9)} == {"a", "b"}
    assert pool(key("a", models=("x",))).choose(MODEL, NOW) is None


def test_a_model_that_is_named_later_has_a_key_for_all_if_there_is_one() -> None:
    keys = pool(key("a", models=("gemini-2.5-*",)), key("b"), key("c", models=("gemini-3*",)))
    assert [taken(keys, KeyRequirement()) for _ in range(3)] == ["b"] * 3
    out_of_quota(keys, "b", minute())
    assert taken(keys, KeyRequirement()) in ("a", "c")


def test_a_resource_is_asked_for_with_a_key_of_its_project() -> None:
    keys = pool(key("a"), key("b", "team"), key("c", "team"))
    want = KeyRequirement(action="files.get", project="team")
    assert [taken(keys, want) for _ in range(4)] == ["b", "c", "b", "c"]
    assert taken(keys, KeyRequirement(action="files.get", project="gone")) == "a"


def test_a_quota_of_a_key_leaves_the_others() -> None:
    keys = pool(key("a"), key("b", "team"), key("c", "team"))
    out_of_quota(keys, "b", minute("m"))
    assert {taken(keys) for _ in range(4)} == {"a", "c"}
    assert {taken(keys, KeyRequirement(model="other")) for _ in range(6)} == {"a", "b", "c"}


def test_a_quota_of_a_project_takes_all_its_keys_out() -> None:
    keys = pool(key("a"), key("b", "team"), key("c", "team"))
    out_of_quota(keys, "b", minute(whole_project=True))
    assert [taken(keys, KeyRequirement(model=model)) for model in ("m", "n", "o")] == ["a"] * 3
    # It counts calls of models; files have their own.
    assert {taken(keys, KeyRequirement(action="files.get")) for _ in range(9)} == {"a", "b", "c"}


def test_a_quota_of_another_method_leaves_the_models_alone() -> None:
    keys = pool(key("a"), key("b"))
    upload = KeyRequirement(action="files.upload")
    lease = keys.choose(upload, NOW, "a")
    assert lease is not None
    lease.note_exhausted([minute()], NOW)
    lease.finish(NOW)
    assert {taken(keys) for _ in range(2)} == {"a", "b"}
    assert {taken(keys, upload) for _ in range(3)} == {"b"}


def test_only_news_are_told() -> None:
    keys = pool(key("a"), key("b"))
    lease = keys.choose(MODEL, NOW, "a")
    assert lease is not None
    assert lease.note_exhausted([minute("m", "n")], NOW) == [minute("m", "n")]
    assert lease.note_exhausted([minute("m")], NOW + 1) == []
    assert lease.note_exhausted([minute("o")], NOW + 1) == [minute("o")]
    assert lease.note_refusal("it is leaked", NOW)
    assert not lease.note_refusal("it is leaked", NOW)
    lease.finish(NOW)
    assert not lease.note_refusal("it is leaked", NOW)


def test_a_key_comes_back_slowly() -> None:
    keys = pool(key("a", weight=1000.0), key("b"))
    out_of_quota(keys, "a", minute("m"))
    back = NOW + 60 * SECOND
    assert taken(keys, now=back - 1) == "b"
    running, succeeded = 1, 0
    while running <= RAMP_UP_LIMIT:
        leases = [keys.choose(MODEL, back) for _ in range(40)]
        with_a = [lease for lease in leases if lease is not None and lease.key.label == "a"]
        assert len(with_a) == running
        with_a[0].succeeded(back)
        running, succeeded = running * 2, succeeded + 1
        for lease in leases:
            assert lease is not None
            lease.finish(back)
    assert [health.state for health in keys.health(back)] == ["ok", "ok"]
    assert succeeded == 5


def test_a_probe_that_fails_begins_again_and_one_that_tells_nothing_is_followed_by_the_next() -> None:
    keys = pool(key("a"), key("b"))
    out_of_quota(keys, "a", minute("m"))
    back = NOW + 60 * SECOND
    assert taken(keys, now=back) == "b"
    probe = keys.choose(MODEL, back)
    assert probe is not None
    assert probe.key.label == "a"
    probe.note_exhausted([minute("m", now=back)], back)
    probe.finish(back)
    assert [taken(keys, now=back) for _ in range(3)] == ["b"] * 3
    assert "a" in [taken(keys, now=back + 60 * SECOND) for _ in range(9)]
    assert "a" in [taken(keys, now=back + 60 * SECOND) for _ in range(9)]


def test_a_success_that_began_before_the_cool_down_does_not_end_it() -> None:
    keys = pool(key("a"), key("b"))
    early = keys.choose(MODEL, NOW, "a")
    assert early is not None
    out_of_quota(keys, "a", minute("m"))
    early.succeeded(NOW + 1)
    early.finish(NOW + 1)
    assert [taken(keys, now=NOW + 2) for _ in range(3)] == ["b"] * 3


def test_a_timeout_takes_a_key_out_for_longer_each_time() -> None:
    keys = pool(key("a"), key("b"))
    now = NOW
    for times in (1, 2, 4, 8, 16, 20, 20):
        lease = keys.choose(MODEL, now, "a")
        assert lease is not None
        lease.timed_out(now)
        lease.finish(now)
        now += times * TIMEOUT_WAIT
        assert not is_healthy(keys, "a", now - 1)
        assert is_healthy(keys, "a", now)


def is_healthy(keys: GoogleKeys, label: str, now: int) -> bool:
    others = {pooled.key.label for pooled in keys} - {label}
    if lease := keys.choose_another(MODEL, now, others):
        lease.finish(now)
    return lease is not None


def test_a_refused_key_is_out_until_it_is_accepted() -> None:
    keys = pool(key("a"), key("b"))
    lease = keys.choose(MODEL, NOW, "a")
    assert lease is not None
    lease.note_refusal("API key not valid", NOW)
    lease.finish(NOW)
    assert [taken(keys, now=NOW + 9**16) for _ in range(3)] == ["b"] * 3
    assert keys.health(NOW)[0].state == "refused"
    assert "API key not valid" in (keys.health(NOW)[0].detail or "")
    check = keys.choose(KeyRequirement(action="models.list"), NOW, "a")
    assert check is not None
    check.succeeded(NOW)
    check.finish(NOW)
    assert {taken(keys) for _ in range(9)} == {"a", "b"}


def test_a_single_key_is_always_asked() -> None:
    keys = pool(key("a"))
    out_of_quota(keys, "a", minute("m", whole_project=True))
    assert taken(keys) == "a"
    assert keys.choose_another(MODEL, NOW, {"a"}) is None
    assert keys.all_out(NOW) is False
    out_of_quota(keys, "a", minute())
    assert keys.all_out(NOW)
    lease = keys.choose(MODEL, NOW)
    assert lease is not None
    lease.note_refusal("leaked", NOW)
    lease.finish(NOW)
    assert taken(keys) == "a"


def test_where_none_is_healthy_the_one_that_is_back_first_is_asked() -> None:
    keys = pool(key("a"), key("b"), key("c"))
    lease = keys.choose(MODEL, NOW, "c")
    assert lease is not None
    lease.note_refusal("leaked", NOW)
    out_of_quota(keys, "a", minute("m", seconds=90))
    out_of_quota(keys, "b", minute("m", seconds=50))
    assert [taken(keys) for _ in range(3)] == ["b"] * 3
    assert keys.choose_another(MODEL, NOW, set()) is None
    # Google has given the quota back earlier than it said.
    lease = keys.choose(MODEL, NOW)
    assert lease is not None
    lease.succeeded(NOW)
    lease.finish(NOW)
    assert keys.choose_another(MODEL, NOW, {"a"}) is not None


def test_another_key_is_healthy_not_tried_and_of_the_project() -> None:
    keys = pool(key("a"), key("b", "team"), key("c", "team"))
    want = KeyRequirement(model="m", project="team")
    another = keys.choose_another(want, NOW, {"b"})
    assert another is not None
    assert another.key.label == "c"
    assert keys.choose_another(want, NOW, {"b", "c"}) is None
    assert keys.choose_another(MODEL, NOW, {"a", "b", "c"}) is None


def test_a_draining_key_gets_only_what_no_other_can_answer() -> None:
    keys = pool(key("a"), key("b", "team"))
    keys.find("b").draining = True  # pyright: ignore[reportOptionalMemberAccess]
    assert [taken(keys) for _ in range(3)] == ["a"] * 3
    assert taken(keys, KeyRequirement(action="files.get", project="team")) == "b"
    keys.add(key("c", "team"))
    assert taken(keys, KeyRequirement(action="files.get", project="team")) == "c"
    assert keys.health(NOW)[1].state == "draining"
    keys.resume("b")
    assert "b" in [taken(keys) for _ in range(3)]


def test_what_nobody_has_tried_is_forgotten() -> None:
    keys = pool(key("a"), key("b"))
    out_of_quota(keys, "a", minute("m"))
    back = NOW + 60 * SECOND
    assert [each.state for each in keys.health(back + FORGET_AFTER_MICROS)] == ["returning", "ok"]
    assert [each.state for each in keys.health(back + FORGET_AFTER_MICROS + 1)] == ["ok", "ok"]


def test_a_removed_key_ends_its_calls_and_keeps_its_project() -> None:
    keys = pool(key("a"), key("b", "team"))
    lease = keys.choose(MODEL, NOW, "b")
    keys.remove("b")
    assert lease is not None
    lease.succeeded(NOW)
    lease.finish(NOW)
    assert [taken(keys) for _ in range(2)] == ["a"] * 2
    assert (keys.project_of("b"), keys.project_of("z"), keys.project_of(None)) == ("team", "z", "")
    assert not keys.has_projects
    assert set(keys.secrets) == {"secret-a", "secret-b"}


def test_what_a_key_has_begun_is_asked_for_with_it_or_with_another_of_its_project() -> None:
    keys = pool(key("a"), key("b", "team"), key("c", "team"))
    assert keys.secret_of("b") == "secret-b"
    keys.remove("b")
    assert keys.secret_of("b") == "secret-c"
    keys.remove("a")
    assert keys.secret_of("a") is None
    assert keys.secret_of("never") is None
    assert list(keys.labels_of("team")) == ["c"]


def test_the_last_minute_slides() -> None:
    minutes = LastMinute()
    start = NOW // MINUTE * MINUTE
    minutes.add(start, 10)
    assert minutes.sum(start + MINUTE - 1) == 10
    assert minutes.sum(start + MINUTE + MINUTE // 2) == 5
    minutes.add(start + MINUTE + MINUTE // 2, 1)
    assert minutes.sum(start) == 1 + 10  # a clock that was set back
    assert minutes.sum(start + 3 * MINUTE) == 0
    minutes.add(start + 3 * MINUTE, 7)
    assert minutes.sum(start - 3 * MINUTE) == 0  # and one that was far ahead


def test_a_cool_down_that_begins_while_the_clock_is_ahead_ends_when_it_is_set_right() -> None:
    keys, ahead = pool(key("a"), key("b")), NOW + 60 * 24 * 60 * MINUTE
    for label in ("a", "b"):
        out_of_quota(keys, label, minute(now=ahead), now=ahead)
    assert keys.all_out(ahead)
    assert [each.state for each in keys.health(ahead)] == ["cooling"] * 2

    assert not keys.all_out(NOW)
    assert [each.state for each in keys.health(NOW)] == ["returning"] * 2
    # It is news again if Google says so at the right time.
    lease = keys.choose(MODEL, NOW, "a")
    assert lease is not None
    assert lease.note_exhausted([minute()], NOW)
    assert [each.state for each in keys.health(NOW + SECOND)] == ["cooling", "returning"]


LABELS = ["a", "b", "c", "d"]
PROJECTS = {"a": "one", "b": "one", "c": "two", "d": "two"}
wants = st.builds(
    lambda kind, project: kind._replace(project=project),
    st.sampled_from(
        [
            KeyRequirement(model="m"),
            KeyRequirement(model="n"),
            KeyRequirement(action="files.get"),
            KeyRequirement(),
        ]
    ),
    st.sampled_from([None, None, "one", "two"]),
)


class Pool(RuleBasedStateMachine):
    """Any sequence of calls, answers, changes and waits."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.keys = GoogleKeys(key(label, PROJECTS[label]) for label in LABELS)
        self.now = NOW
        self.open: list[Lease] = []

    def healthy(self, want: KeyRequirement) -> set[str]:
        """What `choose_another` may choose, each asked for by itself."""
        found = set[str]()
        for label in LABELS:
            others = {other for other in LABELS if other != label}
            if lease := self.keys.choose_another(want, self.now, others):
                lease.finish(self.now)
                found.add(label)
        return found

    @rule(target=leases, want=wants)
    def choose(self, want: KeyRequirement) -> Lease | None:
        healthy = self.healthy(want)
        lease = self.keys.choose(want, self.now)
        if lease is None:
            assert want.project is None
            assert all(pooled.draining for pooled in self.keys)
            return None
        if healthy:
            assert lease.key.label in healthy
        if want.project and any(pooled.key.project == want.project for pooled in self.keys):
            assert lease.key.project == want.project
        self.open.append(lease)
        return lease

    @rule(lease=consumes(leases), tokens=st.integers(0, 1000))
    def finish(self, lease: Lease | None, tokens: int) -> None:
        if lease:
            lease.finish(self.now, tokens)
            lease.finish(self.now, tokens)
            self.open.remove(lease)

    @rule(lease=leases)
    def succeed(self, lease: Lease | None) -> None:
        if lease:
            lease.succeeded(self.now)

    @rule(
        lease=leases,
        models=st.sampled_from([(), ("m",), ("n", "m")]),
        whole=st.booleans(),
        seconds=st.integers(1, 90_000),
    )
    def exhaust(self, lease: Lease | None, models: tuple[str, ...], whole: bool, seconds: int) -> None:
        if lease:
            lease.note_exhausted([ExhaustedQuota("Q", self.now + seconds * SECOND, models, whole)], self.now)
            if lease.key.label in [pooled.key.label for pooled in self.keys]:
                assert lease.key.label not in self.healthy(
                    lease.want._replace(model=(models or ("m",))[0])
                ) or (lease.want.action is not None)

    @rule(lease=leases)
    def time_out(self, lease: Lease | None) -> None:
        if lease:
            lease.timed_out(self.now)

    @rule(lease=leases)
    def refuse(self, lease: Lease | None) -> None:
        if lease and lease.pooled:
            lease.note_refusal("no", self.now)
            assert lease.key.label not in self.healthy(lease.want) or self.keys.find(lease.key.label) is not (
                lease.pooled
            )

    @rule(seconds=st.sampled_from([1, 30, 61, 3600, 90_000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(label=st.sampled_from(LABELS))
    def change(self, label: str) -> None:
        pooled = self.keys.find(label)
        if pooled is None:
            self.keys.add(key(label, PROJECTS[label]))
        elif len(self.keys) > 1 and pooled.draining:
            self.keys.remove(label)
        else:
            pooled.draining = True

    @rule(label=st.sampled_from(LABELS))
    def resume(self, label: str) -> None:
        if self.keys.find(label):
            self.keys.resume(label)
            assert label in self.healthy(KeyRequirement(model="m"))

    @invariant()
    def calls_are_counted(self) -> None:
        for pooled in self.keys:
            assert pooled.in_flight == sum(lease.pooled is pooled for lease in self.open)
        assert len(self.keys.health(self.now)) == len(self.keys)


TestPool = Pool.TestCase
TestPool.settings = settings(stateful_step_count=30)
