"""The existing keys in memory, indexed by digest of the secret, by id and by alias."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.secrets import hash_secret, redacted_name
from gatekeeper.keys.store import AliasConflict, SecretConflict
from gatekeeper.keys.virtual_key import KeyRecord, KeyState


class KeyNotFound(LookupError):
    """No existing key has this secret, id or alias."""

    field = "key"

    def __init__(self, name: str) -> None:
        super().__init__(f"no key has the secret, the token_id or the alias {redacted_name(name)}")


class KeyAmbiguous(LookupError):
    """A name matches several keys: one by its id or alias, another by its secret, which is possible in a
    store of an older gatekeeper. `token_ids` are those of the keys."""

    field = "key"

    def __init__(self, name: str, states: list[KeyState]) -> None:
        self.token_ids = [state.record.token_id for state in states]
        super().__init__(
            f"{redacted_name(name)} is a name of several keys: {', '.join(self.token_ids)}. Name one by its "
            '`token_id`, as {"token_id": …}'
        )


class TakenNames(NamedTuple):
    """Names that are taken by keys created in the same request: digests of secrets, and aliases."""

    secrets: set[str]
    aliases: set[str]


class KeyIndex:
    """The index. `revoked` are the digests of secrets that keys no longer have, or only for a grace
    period."""

    def __init__(self) -> None:
        self.by_hash: dict[str, KeyState] = {}
        """A key with a previous secret is also under that one until the next change of the key: see
        `has_secret`."""
        self.by_id: dict[str, KeyState] = {}
        self.by_alias: dict[str, KeyState] = {}
        self.revoked: set[str] = set()
        self.in_groups = Counter[str]()
        """The number of keys in each group."""

    def add(self, state: KeyState) -> None:
        record = state.record
        self.revoked.discard(record.secret_hash)
        self.by_hash[record.secret_hash] = state
        self.by_id[record.token_id] = state
        if record.key_alias is not None:
            self.by_alias[record.key_alias] = state
        if record.group is not None:
            self.in_groups[record.group] += 1
        # Another key may have this secret since the grace period ended.
        if record.previous:
            self.by_hash.setdefault(record.previous.secret_hash, state)

    def remove(self, state: KeyState) -> None:
        record = state.record
        # `add` removes it again if the key was only changed.
        self.revoked.add(record.secret_hash)
        del self.by_hash[record.secret_hash], self.by_id[record.token_id]
        if record.key_alias is not None:
            del self.by_alias[record.key_alias]
        if record.group is not None:
            self.in_groups[record.group] -= 1
            if not self.in_groups[record.group]:
                del self.in_groups[record.group]
        if record.previous and self.by_hash.get(record.previous.secret_hash) is state:
            del self.by_hash[record.previous.secret_hash]

    def named(self, name: str, now: int) -> KeyState | None:
        """The key with this secret, id or alias. Raises KeyAmbiguous."""
        digest = hash_secret(name)
        by_secret = self.by_hash.get(digest)
        if by_secret and not has_secret(by_secret.record, digest, now):
            by_secret = None
        found = [by_secret, self.by_id.get(name), self.by_alias.get(name)]
        states = {state.record.token_id: state for state in found if state}
        if len(states) > 1:
            raise KeyAmbiguous(name, list(states.values()))
        return next(iter(states.values()), None)

    def check_alias(self, record: KeyRecord) -> None:
        """Checks that an alias is unique and is not an id or a secret of a key, because all of these identify
        keys. Raises FieldError, and AliasConflict for another key's alias."""
        alias = record.key_alias
        if alias is None:
            return
        if alias in self.by_id or hash_secret(alias) in self.by_hash:
            raise FieldError("key_alias", None, "choose another", "The alias is the id or secret of a key")
        other = self.by_alias.get(alias)
        if other and other.record.token_id != record.token_id:
            raise AliasConflict(alias)

    def check_new(self, record: KeyRecord, secret: str | None, taken: TakenNames) -> None:
        """Checks the names of a new key; `secret` is set if the caller has chosen it. `taken` has the names
        of keys created in the same request; those of this key are added. Raises FieldError, AliasConflict,
        SecretConflict."""
        self.check_alias(record)
        alias, digest = record.key_alias, record.secret_hash
        if alias is not None and alias in taken.aliases:
            raise AliasConflict(alias)
        if alias is not None and hash_secret(alias) in taken.secrets:
            raise FieldError("key_alias", None, "choose another", "The alias is the secret of a key")
        if secret is not None and (
            secret in self.by_id or secret in self.by_alias or secret in taken.aliases
        ):
            raise FieldError("key", None, "choose another", "This `key` is a name of another key")
        if secret is not None and (digest in self.by_hash or digest in taken.secrets):
            raise SecretConflict
        taken.secrets.add(digest)
        if alias is not None:
            taken.aliases.add(alias)


def has_secret(record: KeyRecord, digest: str, now: int) -> bool:
    """Whether the digest is that of the key's secret, or of its previous one within the grace period."""
    # The caller may have found the key by another name, whose digest is neither of them.
    previous = record.previous
    return digest == record.secret_hash or (
        previous is not None and digest == previous.secret_hash and now < previous.expires_at
    )
