"""Splits the usage of a call into price components: tokens by kind and modality.

A component is a kind and a modality: `input_text`, `cached_audio`, `output_text`, `embedding_input_image`.
The rules, by Google's pricing page, billing FAQ and token documentation:

- Cached tokens are charged instead of input, not in addition: input = prompt - cached, by modality.
- totalTokenCount takes precedence: output = total - prompt - tool, thoughts included. Responses of v1 omit
  their thoughts, others count them twice; the total is right in both. Without a total, or with one below
  prompt + tool, output = candidates + thoughts.
- Live: each turn is billed for the context that it has read, so turns add up. If a turn's total does not
  include its thoughts (a receipt of gemini-3.8-live), they are billed in addition. Cached tokens have no
  price of their own.
- Tool-use tokens (the results of code execution, URL context and file search) are input.
- Details split a count into modalities. DOCUMENT is priced as IMAGE; tokens that are not in the details are
  TEXT, or AUDIO if the model outputs only that.
- Cached tokens without details count as text up to the prompt's text tokens, then as image, video, audio.
  This is our choice, Google does not define it; a prompt of one modality is not ambiguous.

If the counts contradict each other so that more than one cost is possible, the cost is unknown.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from gatekeeper.gemini.json_values import Details
from gatekeeper.gemini.token_usage import Usage
from gatekeeper.pricing.tariff import MODALITIES

# A page of a PDF is charged as an image; "document" has no price of its own on Google's page.
PRICED_AS = {"document": "image"}

# Token counts by modality or by component, in the order of the cost lines
Tokens = dict[str, int]


class UnpricedError(Exception):
    """A call cannot be priced; the message explains why."""


def generation_components(usage: Usage, priced: Collection[str] = ()) -> Tokens:
    """The components of a call that generates content; the price list has the components `priced`.

    Raises UnpricedError if prompt or output are not reported, or the counts contradict each other.
    """
    if usage.invalid:
        _check(usage)
    output = billed_output_tokens(usage)
    tokens = _input_and_cached(usage)
    for modality, count in _output_by_modality(output, usage, priced).items():
        tokens[f"output_{modality}"] = count
    # If output has one price with thoughts and another without, all of it is billed at one of them. The 2.5
    # Flash previews of April and May 2025 had both (Google's pricing page at the time).
    if "output_text_thinking" in priced and "output_text" in tokens:
        # Responses of v1 include thoughts only in the total.
        thought = bool(usage.thoughts) or output > (usage.output or 0)
        tokens["output_text_thinking" if thought else "output_text_not_thinking"] = tokens.pop("output_text")
    return tokens


def _output_by_modality(output: int, usage: Usage, priced: Collection[str]) -> Tokens:
    # A TTS model has no price for text: without details all its output is audio.
    remainder = "text" if "output_audio" not in priced or "output_text" in priced else "audio"
    return _by_modality("candidates", output, usage.output_details, remainder)


def written_out(usage: Usage, priced: Collection[str]) -> Usage:
    """The usage normalized to what `generation_components` charges: each count fully split by modality, and a
    total that gives the charged output. The price of a sum of such usages is the sum of their prices. Raises
    UnpricedError like `generation_components`."""
    cached, output = _cached(usage), billed_output_tokens(usage)
    tool, thoughts = usage.tool or 0, usage.thoughts and min(usage.thoughts, output)
    return msgspec.structs.replace(
        usage,
        # Without the thoughts, which some responses also count as candidates.
        output=usage.output and min(usage.output, output - (thoughts or 0)),
        thoughts=thoughts,
        total=_known_prompt(usage) + tool + output,
        outside_total=0,
        prompt_details=tuple(_prompt(usage, cached).items()),
        cached_details=tuple(cached.items()),
        output_details=tuple(_output_by_modality(output, usage, priced).items()),
        tool_details=tuple(_by_modality("tool-use", tool, usage.tool_details).items()),
    )


def live_components(usage: Usage, priced: Collection[str] = ()) -> Tokens:  # noqa: ARG001  as the others
    """The components of a Live session, whose usage is the sum of its turns: each is billed for all the
    context that it has read. Cached tokens have no price of their own, so they are charged as input. Raises
    UnpricedError like `generation_components`."""
    if usage.invalid:
        _check(usage)
    output = billed_output_tokens(usage)
    read = _add_tool_use(_prompt(usage, _cached(usage)), usage)
    tokens = {f"live_input_{modality}": count for modality, count in read.items()}
    for modality, count in _by_modality("response", output, usage.output_details).items():
        tokens[f"live_output_{modality}"] = count
    return tokens


def embedding_components(usage: Usage, priced: Collection[str] = ()) -> Tokens:  # noqa: ARG001  as the others
    """The components of an embedding call, which has input only. Raises UnpricedError if none is reported."""
    if not {"usage", "prompt", "prompt_details"}.isdisjoint(usage.invalid):
        raise UnpricedError("the usage reports what is no count of tokens")
    parts = _by_modality("prompt", _known_prompt(usage), usage.prompt_details)
    return {f"embedding_input_{modality}": count for modality, count in parts.items()}


def _check(usage: Usage) -> None:
    """Raises UnpricedError if a count that matters is invalid. With a total, output and thoughts do not
    matter."""
    needless = {"output", "thoughts"} if usage.total is not None else set[str]()
    if not needless.issuperset(usage.invalid):
        raise UnpricedError("the usage reports what is no count of tokens")


def billed_output_tokens(usage: Usage) -> int:
    """Candidates plus thoughts. Raises UnpricedError if neither they nor a total are reported."""
    input_tokens = _known_prompt(usage) + (usage.tool or 0)
    # A total below the input is invalid: then the single counts are used.
    if usage.total is not None and usage.total + usage.outside_total >= input_tokens:
        # `outside_total`: thoughts that the total of a Live turn does not include (a receipt of
        # gemini-3.8-live).
        return usage.total + usage.outside_total - input_tokens
    if usage.output is None and usage.thoughts is None:
        raise UnpricedError("the usage reports no output: neither a total nor candidates nor thoughts")
    return (usage.output or 0) + (usage.thoughts or 0)


def _known_prompt(usage: Usage) -> int:
    if usage.prompt is None:
        raise UnpricedError("the usage reports no promptTokenCount")
    return usage.prompt


def _prompt(usage: Usage, cached: Tokens) -> Tokens:
    # A prompt without details has at least its cached part: cached audio must not be subtracted from text.
    return _by_modality("prompt", _known_prompt(usage), usage.prompt_details or tuple(cached.items()))


def _add_tool_use(tokens: Tokens, usage: Usage) -> Tokens:
    if not (usage.tool or usage.tool_details):
        return tokens
    for modality, count in _by_modality("tool-use", usage.tool or 0, usage.tool_details).items():
        tokens[modality] = tokens.get(modality, 0) + count
    return tokens


def _input_and_cached(usage: Usage) -> Tokens:
    """The tokens of prompt and tool use without the cached ones, and the cached ones."""
    if not (usage.cached or usage.tool or usage.tool_details):
        return {f"input_{modality}": count for modality, count in _prompt(usage, {}).items()}
    cached = _cached(usage)
    tokens = _prompt(usage, cached)
    for modality, count in cached.items():
        tokens[modality] = tokens.get(modality, 0) - count
        if tokens[modality] < 0:
            raise UnpricedError(f"the usage reports more cached {modality} tokens than its prompt has")
    components = {f"input_{modality}": count for modality, count in _add_tool_use(tokens, usage).items()}
    for modality, count in cached.items():
        components[f"cached_{modality}"] = count
    return components


def _cached(usage: Usage) -> Tokens:
    if not usage.cached:
        return {}
    if usage.cached_details or not usage.prompt_details:
        return _by_modality("cached", usage.cached, usage.cached_details)
    prompt = _by_modality("prompt", _known_prompt(usage), usage.prompt_details)
    taken: Tokens = {}
    left = usage.cached
    # Text first, in the order of the modalities: our choice, which `quote` adds a note about.
    for modality in MODALITIES:
        if count := min(left, prompt.get(modality, 0)):
            taken[modality] = count
            left -= count
    if left:
        raise UnpricedError("the usage reports more cached tokens than its prompt has")
    return taken


def _by_modality(what: str, count: int, details: Details, remainder: str = "text") -> Tokens:
    """Splits a count by modality, in the order of the details. Tokens that are not in the details have the
    modality `remainder`, and come last."""
    if not details:
        return {remainder: count} if count else {}
    parts: Tokens = {}
    left = count
    for modality, tokens in details:
        # Two modalities may have the same price component, so they are added.
        priced = PRICED_AS.get(modality, modality)
        parts[priced] = parts.get(priced, 0) + tokens
        left -= tokens
    if left > 0:
        parts[remainder] = parts.get(remainder, 0) + left
    elif left < 0:
        # With one modality there is no ambiguity: all tokens have it.
        if len(parts) > 1:
            raise UnpricedError(f"the details of the {what} tokens make up more than their count")
        return dict.fromkeys(parts, count)
    return parts
