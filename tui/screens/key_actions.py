"""The actions of the Keys screen, on keys, groups and end users. Each asks in a dialog, calls the gateway,
and returns the message to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.formats import timestamp
from gatekeeper.client.key_types import NAME_FIELDS, AccountKind, Key, LimitedAccount
from tui.key_fields import ACCOUNT_FIELDS, FIELDS, Field, read_text
from tui.screens.dialog import Confirm, TypeToConfirm
from tui.screens.key_dialogs import RotateDialog, SecretDialog, has_old_secret, old_secret_text
from tui.screens.key_form import EditDialog, KeyForm, NewKeyDialog
from tui.session import Session
from tui.terminal import ClipboardApp

NOTHING_CHANGED = "nothing was changed"
KeyAction = Callable[[ClipboardApp, Session, Key], Awaitable[str | None]]
"""What was done; None where it was cancelled. Raises ApiError."""

# Of groups and of end users.
COMMAND = "gatekeeper {kind}s {verb}"


async def new_key(app: ClipboardApp, session: Session) -> str | None:
    """Creates a key, and shows its secret."""
    key = await app.push_screen_wait(NewKeyDialog(session.client, session.clock))
    if key is None:
        return None
    await app.push_screen_wait(SecretDialog(key))
    return f"{key.label} is created"


async def edit_key(app: ClipboardApp, session: Session, key: Key) -> str | None:
    """Changes fields of the key."""
    client = session.client

    async def read() -> Key:
        return (await client.key_info(key.token_id)).value.info

    dialog = EditDialog(
        key, FIELDS, session.clock, lambda changes: client.key_update(key.token_id, changes), read
    )
    changed = await app.push_screen_wait(dialog)
    return None if changed is None else edited_text(key.label, changed)


def edited_text(label: str, changed: Sequence[str]) -> str:
    return f"{label}: {', '.join(changed)} changed" if changed else f"{label}: {NOTHING_CHANGED}"


async def rotate_key(app: ClipboardApp, session: Session, key: Key) -> str | None:
    """Gives the key a new secret, and shows it."""
    rotated = await app.push_screen_wait(RotateDialog(session.client, key, session.clock()))
    if rotated is None:
        return None
    await app.push_screen_wait(SecretDialog(rotated, old=old_secret_text(key, rotated)))
    return f"{key.label} is rotated"


async def end_grace(app: ClipboardApp, session: Session, key: Key) -> str | None:
    """Has the secret before the last rotation refused."""
    if not has_old_secret(key, session.clock()):
        return f"{key.label} has no old secret that works"
    question = f"Refuse the old secret of {key.label}?"
    until = f"{key.previous_key_name} works until {timestamp(key.previous_expires, 'minutes')}."
    # Whoever uses it still is about to fail.
    used = (
        f" Its last use: {formats.ago(key.previous_used_at, session.clock())}."
        if key.previous_used_at
        else ""
    )
    if not await app.push_screen_wait(
        Confirm(question, f"{until}{used} If you answer yes, it is refused from now on.")
    ):
        return None
    await session.client.key_end_grace(key.token_id)
    return f"the old secret of {key.label} is refused"


async def block_key(app: ClipboardApp, session: Session, key: Key) -> str | None:
    """Blocks the key, or unblocks it."""
    client = session.client
    if key.blocked:
        asked = Confirm(f"Unblock {key.label}?", "Its calls are accepted again at once.")
    else:
        asked = Confirm(f"Block {key.label}?", "Its calls are refused at once, until it is unblocked.")
    if not await app.push_screen_wait(asked):
        return None
    await (client.key_unblock if key.blocked else client.key_block)(key.token_id)
    return f"{key.label} is {'un' if key.blocked else ''}blocked"


async def delete_key(app: ClipboardApp, session: Session, key: Key) -> str | None:
    """Deletes the key for good."""
    lost = "Its calls are refused from then on, for good. What it did stays in the ledger."
    if not await app.push_screen_wait(TypeToConfirm(f"Delete {key.label}?", lost, key.label)):
        return None
    await session.client.key_delete(key.token_id)
    return f"{key.label} is deleted"


KEY_ACTIONS: dict[str, KeyAction] = {
    "edit": edit_key,
    "rotate": rotate_key,
    "block": block_key,
    "delete": delete_key,
    "end_grace": end_grace,
}


class NewAccountDialog(KeyForm[LimitedAccount | None]):
    """Gives limits to a name."""

    def __init__(self, kind: AccountKind, session: Session) -> None:
        name = Field(
            NAME_FIELDS[kind], "name", "of calls and keys that name it", read_name, read_text, "no name"
        )
        fields = dict.fromkeys((name, *ACCOUNT_FIELDS), "")
        super().__init__(fields, session.clock, "create", COMMAND.format(kind=kind, verb="create"))
        self._kind: AccountKind = kind
        self._client = session.client

    def _title(self) -> Content:
        return Content("Limits of a group of keys" if self._kind == "group" else "Limits of an end user")

    async def _send(self, changes: dict[str, object]) -> LimitedAccount:
        name = str(changes.pop(NAME_FIELDS[self._kind], ""))
        return (await self._client.account_change(self._kind, "generate", name, changes)).value


def read_name(account: Key) -> str:
    return account.label


async def create_account(kind: AccountKind, app: ClipboardApp, session: Session) -> str | None:
    """Gives limits to a name that has none."""
    made = await app.push_screen_wait(NewAccountDialog(kind, session))
    return f"{made.label} has limits" if made else None


def account_actions(kind: AccountKind) -> Mapping[str, KeyAction]:
    """What can be done with one of this kind."""

    async def edit(app: ClipboardApp, session: Session, account: Key) -> str | None:
        client, name = session.client, account.label

        async def read() -> Key:
            return (await client.account_info(kind, name)).value

        dialog = EditDialog(
            account,
            ACCOUNT_FIELDS,
            session.clock,
            lambda changes: client.account_change(kind, "update", name, changes),
            read,
            COMMAND.format(kind=kind, verb="edit"),
        )
        changed = await app.push_screen_wait(dialog)
        return None if changed is None else edited_text(name, changed)

    async def block(app: ClipboardApp, session: Session, account: Key) -> str | None:
        verb = "unblock" if account.blocked else "block"
        told = (
            "Its calls are accepted again at once."
            if account.blocked
            else "All its calls are refused at once."
        )
        if not await app.push_screen_wait(Confirm(f"{verb.capitalize()} {account.label}?", told)):
            return None
        await session.client.account_change(kind, verb, account.label, {})
        return f"{account.label} is {verb}ed"

    async def delete(app: ClipboardApp, session: Session, account: Key) -> str | None:
        lost = "Its limits and its spend are gone, for good. Its calls stay in the ledger."
        if not await app.push_screen_wait(TypeToConfirm(f"Delete {account.label}?", lost, account.label)):
            return None
        await session.client.account_change(kind, "delete", account.label, {})
        return f"{account.label} is deleted"

    return {"edit": edit, "block": block, "delete": delete}
