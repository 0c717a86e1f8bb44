"""What the first start shows: how to send the first call."""

from __future__ import annotations

from textual.content import Content

from tui.session import Session

PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"


def curl(session: Session) -> str:
    """A call that works as it stands in open mode; else with a key put in."""
    key = "anything" if session.gateway.mode == "open" else "YOUR_KEY"
    return (
        f"curl -H 'x-goog-api-key: {key}' -H 'Content-Type: application/json' \\\n"
        """  -d '{"contents":[{"parts":[{"text":"Hello"}]}]}' \\\n"""
        f"  {session.client.url}{PATH}"
    )


def welcome(session: Session) -> Content:
    """The empty log."""
    return Content.assemble(
        "No calls yet. Send one:\n\n",
        (curl(session), "$accent"),
        "\n\nIt will appear here at once.   ",
        ("y", "bold $accent"),
        " copy the command   ",
        ("4", "bold $accent"),
        " make a key first   ",
        ("?", "bold $accent"),
        " help",
    )
