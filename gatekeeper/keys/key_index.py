"""The existing keys in memory, by everything that names one: the digest of a secret, the id, the alias."""

from __future__ import annotations

from gatekeeper.keys.fields import FieldError
from gatekeeper.keys.secrets import hash_secret, redacted_name
from gatekeeper.keys.virtual_key import KeyRecord, KeyState


class KeyNotFound(LookupError):
    """No existing key has this secret, id or alias."""

    field = "key"

    def __init__(self, name: str) -> None:
        super().__init__(f"no key has the secret, the token_id or the alias {redacted_name(name)}")


class KeyIndex:
    """`revoked` are the digests of secrets that no existing key has any more."""

    def __init__(self) -> None:
        self.by_hash: dict[str, KeyState] = {}
        self.by_id: dict[str, KeyState] = {}
        self.by_alias: dict[str, KeyState] = {}
        self.revoked: set[str] = set()

    def add(self, state: KeyState) -> None:
        record = state.record
        self.revoked.discard(record.secret_hash)
        self.by_hash[record.secret_hash] = state
        self.by_id[record.token_id] = state
        if record.key_alias is not None:
            self.by_alias[record.key_alias] = state

    def remove(self, state: KeyState) -> None:
        record = state.record
        self.revoked.add(record.secret_hash)
        del self.by_hash[record.secret_hash], self.by_id[record.token_id]
        if record.key_alias is not None:
            del self.by_alias[record.key_alias]

    def named(self, name: str) -> KeyState | None:
        """The key with this secret, id or alias."""
        return self.by_hash.get(hash_secret(name)) or self.by_id.get(name) or self.by_alias.get(name)

    def check_names(self, record: KeyRecord, secret: str | None = None) -> None:
        """Names identify keys, so an alias must not be an id or a secret of another key, nor a secret another
        key's name. Raises FieldError."""
        alias = record.key_alias
        if alias is not None and (alias in self.by_id or hash_secret(alias) in self.by_hash):
            raise FieldError("key_alias", None, "choose another", "The alias is the id or secret of a key")
        if secret is not None and (secret in self.by_id or secret in self.by_alias):
            raise FieldError("key", None, "choose another", "This `key` is a name of another key")
