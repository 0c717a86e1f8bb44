"""The dialog for the cost of a hypothetical call, and its fields: their texts, filled in from a call, and as
the API reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Input, Label, Static

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import Quote
from gatekeeper.client.call_types import CallDetail
from gatekeeper.client.columns import TextRole
from gatekeeper.client.cost_text import quote_text
from tui.screens.dialog import Dialog, key_help
from tui.terminal import lines, styled_text, update

TITLE = Content.assemble("What would it cost?", ("   tokens of text, at the prices in force", "not bold dim"))

# By the API's name of each field, what it may be.
FIELDS = {
    "model": "as calls name it: gemini-2.5-flash",
    "input": "tokens of the prompt, cached ones included: 1000, 250k, 1.5M",
    "output": "tokens of the answer, without thoughts",
    "cached": "how many of the prompt's tokens come from a cache",
    "thoughts": "tokens of thinking",
    "tier": "standard, or flex, priority, batch",
}
WORDS = ("model", "tier")
"""Fields whose values are names, which can be completed; the others are numbers."""
TIERS = ("standard", "flex", "priority", "batch")
NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([kM]?)")
SIZES = {"": 1, "k": 1000, "M": 1_000_000}


class Completion(Suggester):
    """Completes to one of the names, which may come later."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._names = names

    async def get_suggestion(self, value: str) -> str | None:
        return completed_name(value, self._names)


class QuoteDialog(Dialog[None]):
    """Requests a quote, shows it, and stays open for the next one. `texts` are the fields that are filled in
    at first; if they are a question, it is asked at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority they take effect at once, so that text typed right after them is in the next field.
        Binding("tab", "complete", show=False, priority=True),
        Binding("down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    /* At the top: its fields stay where they are when an answer comes. */
    QuoteDialog { align: center top; }
    QuoteDialog > VerticalScroll {
        width: 78;
        margin: 1 0 0 0;
        padding: 0 2;
    }
    QuoteDialog Horizontal { height: 1; }
    QuoteDialog Horizontal Label { width: 11; text-style: dim; }
    QuoteDialog Input { width: 1fr; }
    QuoteDialog .changed, QuoteDialog .answer, QuoteDialog .notes { display: none; }
    QuoteDialog Static.changed { height: 1; padding: 0 0 0 2; }
    QuoteDialog .notes { padding: 0 0 0 2; text-style: dim; }
    """

    def __init__(self, client: Client, texts: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._client = client
        self._texts = texts or {}
        self._answered: dict[str, object] = {}
        self._names: dict[str, list[str]] = {"model": [], "tier": list(TIERS)}

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            yield Static(TITLE, classes="title")
            for name, hint in FIELDS.items():
                with Horizontal():
                    yield Label(name)
                    suggester = Completion(self._names[name]) if name in WORDS else None
                    yield Input(self._texts.get(name, ""), hint, suggester=suggester, id=name)
            yield Static(classes="changed")
            yield Static(classes="answer")
            yield Static(classes="notes")
            yield Static(classes="error")
            yield Static(key_help(enter="ask", tab="complete, next", esc="close"), classes="keys")

    def on_mount(self) -> None:
        self._load_models()
        if {"input", "output"} & question(self._texts).keys():
            self._ask()

    @work
    async def _load_models(self) -> None:
        """Loads what the model is completed to. Without it the question can be asked all the same."""
        try:
            self._names["model"] += (await self._client.models()).value.names()
        except ApiError:
            return

    def _typed(self) -> dict[str, str]:
        return {name: self.query_one(f"#{name}", Input).value for name in FIELDS}

    def action_complete(self) -> None:
        """Completes a name, as shown behind the cursor; where there is nothing to complete, goes on."""
        field = self.focused
        names = self._names.get((field and field.id) or "", ())
        if isinstance(field, Input) and (completed := completed_name(field.value, names)):
            field.value = completed
            field.cursor_position = len(completed)
        else:
            self.focus_next()

    @on(Input.Changed)
    def _show_change(self) -> None:
        """Says so while the answer is not that to the question as it is now."""
        changed = question(self._typed()) != self._answered
        told = "Before the change; enter asks anew:" if changed else ""
        update(self.query_one(".changed", Static), styled_text(told, TextRole.WARNING))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        # What is typed next replaces it: the next question has another value.
        event.input.select_all()
        self._ask()

    @work(exclusive=True, group="ask")
    async def _ask(self) -> None:
        asked = question(self._typed())
        try:
            quote = (await self._client.quote(asked)).value
        except ApiError as error:
            self._show_refusal(error)
        else:
            self._answered = asked
            self._show_answer(quote, str(asked.get("tier", TIERS[0])))

    def _show_answer(self, quote: Quote, tier: str) -> None:
        self.hide_error()
        self._show_lines(answer=True, notes=bool(quote.notes))
        self.query_one(".answer", Static).update(lines(quote_text(quote, tier)))
        self.query_one(".notes", Static).update(styled_text("; ".join(quote.notes)))
        self._show_change()

    def _show_lines(self, answer: bool, notes: bool) -> None:
        self.query_one(".changed").display = self.query_one(".answer").display = answer
        self.query_one(".notes").display = notes

    def _show_refusal(self, error: ApiError) -> None:
        """Shows an error in place of the last answer, and leads to its field."""
        self._show_lines(answer=False, notes=False)
        if error.problem.field in FIELDS:
            self.set_focus(self.query_one(f"#{error.problem.field}", Input))
        self.show_error(str(error))


def read_number(text: str) -> int | str:
    """A whole number, which may have thousands separated, or `k` or `M` at its end; other text is left for
    the gateway to reject."""
    if found := NUMBER.fullmatch(text.replace(",", "")):
        number = Decimal(found[1]) * SIZES[found[2]]
        if number == number.to_integral_value():
            return int(number)
    return text


def question(texts: Mapping[str, str]) -> dict[str, object]:
    """The fields that are filled in, in the API's form."""
    filled = {name: text.strip() for name, text in texts.items() if text.strip()}
    return {name: text if name in WORDS else read_number(text) for name, text in filled.items()}


def texts_of(call: CallDetail) -> dict[str, str]:
    """A call's own model and tokens; what it does not tell stays empty."""
    numbers = {
        "input": call.prompt_tokens,
        "output": call.output_tokens,
        "cached": call.cached_tokens,
        "thoughts": call.thoughts_tokens,
    }
    return {
        "model": call.model_version or call.model or "",
        **{name: "" if number is None else f"{number:,}" for name, number in numbers.items()},
        "tier": call.service_tier or "",
    }


def completed_name(text: str, names: Iterable[str]) -> str | None:
    """The first name that begins like the text, and goes on; None for no text, and for a name itself."""
    known = list(names)
    if not text or text in known:
        return None
    return next((name for name in known if name.startswith(text)), None)
