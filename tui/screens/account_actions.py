"""What the Keys screen does with a group of keys or an end user."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from gatekeeper.client.key_types import NAME_FIELDS, AccountKind, Key, LimitedAccount
from tui.key_fields import ACCOUNT_FIELDS, Field, read_text
from tui.screens.dialog import Confirm, TypeToConfirm
from tui.screens.key_actions import KeyAction, edited_text
from tui.screens.key_form import EditDialog, KeyForm
from tui.session import Session
from tui.terminal import ClipboardApp

# Both kinds' commands.
COMMAND = "gatekeeper {kind}s {verb}"


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
