"""What names a key: never two keys at once, and no change reaches another key than the named one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rig.examples import examples
from rig.registry import running, update_key

from gatekeeper.keys.audit import Change
from gatekeeper.keys.fields import FieldError, parse_fields
from gatekeeper.keys.key_changes import blocking
from gatekeeper.keys.key_index import KeyAmbiguous, KeyNotFound
from gatekeeper.keys.registry import KeyRegistry
from gatekeeper.keys.secrets import hash_secret
from gatekeeper.keys.sqlite_store import SqliteKeyStore
from gatekeeper.keys.store import AliasConflict, KeyWrite, SecretConflict
from gatekeeper.keys.virtual_key import KeyRecord
from gatekeeper.keys.windows import Window

NOW = 1_790_000_000_000_000
BY = {"now": NOW, "by": "master"}


def write(token_id: str, alias: str | None, secret: str) -> KeyWrite:
    record = KeyRecord(
        token_id=token_id,
        secret_hash=hash_secret(secret),
        key_name="sk-...",
        key_alias=alias,
        created_at=NOW,
        updated_at=NOW,
    )
    return KeyWrite(record, Window(), Change(at=NOW, by="master", action="create", token_id=token_id))


async def test_a_name_of_two_keys_in_an_old_store_changes_neither(tmp_path):
    store = SqliteKeyStore(tmp_path / "k")
    store.insert_all([write("key_1", "key_2", "s" * 16), write("key_2", "t" * 16, "u" * 16)])
    store.insert_all([write("key_3", None, "t" * 16)])
    store.close()
    async with running(tmp_path / "k") as registry:
        for name, ids in (("key_2", ["key_2", "key_1"]), ("t" * 16, ["key_3", "key_2"])):
            with pytest.raises(KeyAmbiguous) as caught:
                registry.find(name, NOW)
            assert caught.value.token_ids == ids
            assert "t" * 16 not in str(caught.value)
        # By an id that has been looked up, only that key is reached.
        await registry.delete(["key_2"], **BY)
        assert sorted(state.record.token_id for state in registry.states(NOW)) == ["key_1", "key_3"]


async def test_a_change_of_several_keys_is_made_for_all_or_for_none(tmp_path):
    async with running(tmp_path / "k") as registry:
        ids = [(await registry.create(parse_fields({}, now=NOW), **BY))[1].record.token_id for _ in range(3)]

        def fail_at_the_last(record: KeyRecord) -> None:
            if record.token_id == ids[-1]:
                raise ValueError("not this one")

        for change in (
            registry.edit("block", ids, blocking(NOW), check=fail_at_the_last, **BY),
            registry.rotate(ids, check=fail_at_the_last, **BY),
            registry.delete(ids, check=fail_at_the_last, **BY),
        ):
            with pytest.raises(ValueError, match="not this one"):
                await change
        with pytest.raises(AliasConflict):
            await registry.edit("update", ids, lambda record: replace(record, key_alias="one"), **BY)
        assert [registry.by_id(each).record.blocked for each in ids] == [False] * 3
        assert [registry.by_id(each).record.key_alias for each in ids] == [None] * 3


async def test_keys_that_are_made_at_once_are_told_apart(tmp_path):
    outcomes: list[object] = []
    async with running(tmp_path / "k") as registry:

        async def create(**body) -> None:
            try:
                outcomes.append((await registry.create(parse_fields(body, now=NOW), **BY))[0])
            except (AliasConflict, SecretConflict, FieldError) as error:
                outcomes.append(type(error))

        secret = "a-secret-of-somebody"
        async with trio.open_nursery() as nursery:
            for body in (
                {"key_alias": "a"},
                {"key_alias": "a"},
                {"key": secret},
                {"key_alias": secret},
                {},
                {},
            ):
                nursery.start_soon(lambda body: create(**body), body)
        assert len([each for each in outcomes if isinstance(each, type)]) == 2
        made = {secret for secret in outcomes if isinstance(secret, str)}
        assert len(made) == 4
        found = {registry.find(secret, NOW).record.token_id for secret in made}
        assert found == {state.record.token_id for state in registry.states(NOW)}
        before = found
    async with running(tmp_path / "k") as again:
        assert {state.record.token_id for state in again.states(NOW)} == before


async def test_one_that_gives_up_waiting_is_not_made(tmp_path):
    async with running(tmp_path / "k") as registry, trio.open_nursery() as nursery:
        await registry._write_lock.acquire()
        scope = trio.CancelScope()

        async def create() -> None:
            with scope:
                await registry.create(parse_fields({"key_alias": "a"}, now=NOW), **BY)

        nursery.start_soon(create)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        registry._write_lock.release()
        await registry.create(parse_fields({"key_alias": "b"}, now=NOW), **BY)
        assert [state.record.key_alias for state in registry.states(NOW)] == ["b"]


WORDS = ["one", "two", "a-secret-like-alias", "another-secret-like-alias"]
word = st.sampled_from(WORDS)
step = st.one_of(
    st.tuples(st.just("create"), st.none() | word, st.none() | word.filter(lambda text: len(text) >= 16)),
    st.tuples(st.just("rename"), word, st.none() | word),
    st.tuples(st.just("rotate"), word),
    st.tuples(st.just("delete"), word),
)


@settings(max_examples=examples(40))
@given(st.lists(step, max_size=12))
def test_no_text_ever_names_two_keys_and_a_change_reaches_the_named_one_only(steps):
    async def live(path: Path) -> None:
        async with running(path) as registry:
            for action, *words in steps:
                before = {state.record.token_id: state.record for state in registry.states(NOW)}
                named = None if action == "create" else registry.find(words[0], NOW)
                with contextlib.suppress(KeyNotFound, AliasConflict, SecretConflict, FieldError):
                    await take(registry, action, *words)
                after = {state.record.token_id: state.record for state in registry.states(NOW)}
                changed = {id_ for id_ in before if before[id_] is not after.get(id_)}
                assert changed <= {named and named.record.token_id}
                for text in [*WORDS, *after]:
                    registry.find(text, NOW)

    with TemporaryDirectory() as folder:
        trio.run(live, Path(folder) / "k")


async def take(registry: KeyRegistry, action: str, *words: str | None) -> None:
    match action, words:
        case "create", (alias, secret):
            await registry.create(parse_fields({"key_alias": alias, "key": secret}, now=NOW), **BY)
        case "rename", (str(name), alias):
            await update_key(registry, name, parse_fields({"key_alias": alias}, now=NOW, update=True), **BY)
        case "rotate", (str(name),):
            await registry.rotate([name], grace_until=NOW + 2**50, **BY)
        case "delete", (str(name),):
            await registry.delete([name], **BY)
