"""A key's secrets after a rotation: which are valid, until when, also after a restart."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.registry import key_store

from gatekeeper.keys.fields import FieldError, parse_fields
from gatekeeper.keys.key_changes import without_previous
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.store import SecretConflict

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
BY = "master"


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@contextlib.asynccontextmanager
async def running(path: Path, clock: Clock):
    store = key_store(path)
    registry = KeyRegistry(store, clock=clock)
    await registry.load()
    try:
        yield registry
    finally:
        store.close()


async def create(registry, **body):
    return await registry.create(parse_fields(body, now=NOW), now=NOW, by=BY)


async def rotate(registry, name, grace=None):
    ((secret, _),) = await registry.rotate([name], now=NOW, by=BY, grace_until=grace and NOW + grace)
    return secret


def valid(registry, *secrets):
    return [registry.by_hash(hash_secret(secret)) is not None for secret in secrets]


async def test_the_old_secret_is_the_same_key_until_its_grace_is_over(tmp_path):
    clock = Clock()
    async with running(tmp_path / "k", clock) as registry:
        old, state = await create(registry, key_alias="a")
        new = await rotate(registry, "a", HOUR)
        assert registry.by_hash(hash_secret(old)) is registry.by_hash(hash_secret(new)) is state
        assert state.record.previous.key_name == f"sk-...{old[-4:]}"
        assert registry.find(old, NOW) is state
        clock.now += HOUR - 1
        assert valid(registry, old, new) == [True, True]
        assert state.previous_used_at == clock.now
        clock.now += 1
        assert valid(registry, old, new) == [False, True]
        assert registry.is_revoked(hash_secret(old))
        assert registry.find(old, clock.now) is None


async def test_a_restart_keeps_the_grace_and_its_end(tmp_path):
    clock = Clock()
    async with running(tmp_path / "k", clock) as registry:
        old, _ = await create(registry, key_alias="a")
        new = await rotate(registry, "a", HOUR)
    async with running(tmp_path / "k", clock) as again:
        assert valid(again, old, new) == [True, True]
        clock.now += HOUR
        assert valid(again, old, new) == [False, True]
        assert again.is_revoked(hash_secret(old))


@pytest.mark.parametrize("grace", [None, HOUR])
async def test_a_second_rotation_ends_the_first_ones_grace(tmp_path, grace):
    async with running(tmp_path / "k", Clock()) as registry:
        first, _ = await create(registry, key_alias="a")
        second = await rotate(registry, "a", HOUR)
        third = await rotate(registry, "a", grace)
        assert valid(registry, first, second, third) == [False, bool(grace), True]
        assert registry.is_revoked(hash_secret(first))


async def test_the_grace_can_be_ended_and_ends_with_the_key(tmp_path):
    async with running(tmp_path / "k", Clock()) as registry:
        old, _ = await create(registry, key_alias="a")
        new = await rotate(registry, "a", HOUR)
        await registry.edit("end_grace", ["a"], without_previous, now=NOW, by=BY)
        assert valid(registry, old, new) == [False, True]
        newest = await rotate(registry, "a", HOUR)
        await registry.delete(["a"], now=NOW, by=BY)
        assert valid(registry, new, newest) == [False, False]


async def test_a_secret_in_its_grace_is_nobody_elses_and_then_may_be(tmp_path):
    clock = Clock()
    async with running(tmp_path / "k", clock) as registry:
        old, _ = await create(registry, key_alias="a", key="a-secret-of-somebody")
        await rotate(registry, "a", HOUR)
        with pytest.raises(SecretConflict):
            await create(registry, key=old)
        with pytest.raises(FieldError):
            await create(registry, key_alias=old)
        await registry.edit("end_grace", ["a"], without_previous, now=NOW, by=BY)
        _, other = await create(registry, key=old)
    async with running(tmp_path / "k", clock) as again:
        assert again.by_hash(hash_secret(old)).record.token_id == other.record.token_id


names = st.sampled_from(["a", "b"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("rotate"), names, st.sampled_from([None, 1, HOUR])),
        st.tuples(st.just("end"), names),
        st.tuples(st.just("wait"), st.sampled_from([1, HOUR])),
        st.tuples(st.just("restart")),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps)
def test_whatever_happened_a_key_has_its_secret_and_at_most_one_before(tmp_path_factory, steps):
    import trio

    async def live() -> None:
        path, clock = tmp_path_factory.mktemp("keys") / "k", Clock()
        model: dict[str, list[tuple[str, int | None]]] = {}  # secrets, the newest first, with their end
        async with contextlib.AsyncExitStack() as stack:
            registry = await stack.enter_async_context(running(path, clock))
            for name in ("a", "b"):
                model[name] = [((await create(registry, key_alias=name))[0], None)]
            for step, *given_ in steps:
                if step == "wait":
                    clock.now += given_[0]
                elif step == "restart":
                    await stack.aclose()
                    registry = await stack.enter_async_context(running(path, clock))
                elif step == "end":
                    await registry.edit("end_grace", given_, without_previous, now=clock.now, by=BY)
                    model[given_[0]][1:] = [(secret, 0) for secret, _ in model[given_[0]][1:]]
                else:
                    name, grace = given_
                    until = grace and clock.now + grace
                    ((new, _),) = await registry.rotate([name], now=clock.now, by=BY, grace_until=until)
                    (last, _), *older = model[name]
                    model[name] = [(new, None), (last, until or 0), *((secret, 0) for secret, _ in older)]
                for name, secrets in model.items():
                    for secret, end in secrets:
                        found = registry.by_hash(hash_secret(secret))
                        assert (found is not None) is (end is None or clock.now < end), step
                        assert found is None or found.record.key_alias == name
                        assert registry.is_revoked(hash_secret(secret)) or found is not None

    trio.run(live)
