"""What a call is billed for: from its usage to tokens by price component. No prices here.

A component is a kind and a modality: `input_text`, `cached_audio`, `output_text`, `embedding_input_image`.
The rules, with Google's words for them (pricing page, billing FAQ, token documentation):

- Cached tokens are priced instead of input, not beside it: input = prompt - cached, by modality.
- The total is the arbiter: output = total - prompt - tool, thoughts included. Answers of v1 leave their
  thoughts out, others count them twice; the total is right in both. Without a total, or with one below
  prompt + tool, output = candidates + thoughts.
- Tool-use tokens (what code execution, URL context and file search hand back) are input.
- Details split a count into modalities. DOCUMENT is priced as IMAGE; what the details leave out is TEXT.
- Cached tokens without details are text as far as the prompt has text, then image, video, audio: our
  choice, Google says nothing. A prompt of one modality leaves no doubt.

Where the counts contradict each other so that more than one cost could be meant, there is none.
"""

from __future__ import annotations

from typing import Literal, get_args

from gatekeeper.gemini.usage import Details, Usage

Modality = Literal["text", "image", "video", "audio"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
PRICED_AS = {"document": "image"}

Tokens = dict[str, int]  # by modality or by component, in the order in which lines are shown


class UnpricedError(Exception):
    """Why a call has no cost, in words for people."""


def generated(usage: Usage, *, thinking_priced: bool = False) -> Tokens:
    """The components of a generateContent call. Where `thinking_priced`, its output has one price with
    thoughts and another without (two previews of 2025), and all of it goes to one of them.

    Raises UnpricedError where prompt or output are not reported, or the counts contradict each other.
    """
    output = output_tokens(usage)
    tokens = _prompt(usage)
    for modality, count in _split("candidates", output, usage.output_details).items():
        tokens[f"output_{modality}"] = count
    if thinking_priced and "output_text" in tokens:
        thought = bool(usage.thoughts) or output > (usage.output or 0)
        tokens["output_text_thinking" if thought else "output_text_not_thinking"] = tokens.pop("output_text")
    return tokens


def embedded(usage: Usage) -> Tokens:
    """The components of an embedding call, all of it prompt. Raises UnpricedError where none is reported."""
    parts = _split("prompt", _known_prompt(usage), usage.prompt_details)
    return {f"embedding_input_{modality}": count for modality, count in parts.items()}


def output_tokens(usage: Usage) -> int:
    """Candidates and thoughts together. Raises UnpricedError where neither they nor a total are reported."""
    fed = _known_prompt(usage) + (usage.tool or 0)
    if usage.total is not None and usage.total >= fed:
        return usage.total - fed
    if usage.output is None and usage.thoughts is None:
        raise UnpricedError("the usage reports no output: neither a total nor candidates nor thoughts")
    return (usage.output or 0) + (usage.thoughts or 0)


def _known_prompt(usage: Usage) -> int:
    if usage.prompt is None:
        raise UnpricedError("the usage reports no promptTokenCount")
    return usage.prompt


def _prompt(usage: Usage) -> Tokens:
    """Input and cached components of prompt and tool use."""
    cached = _cached(usage)
    fresh = _split("prompt", _known_prompt(usage), usage.prompt_details or tuple(cached.items()))
    for modality, count in cached.items():
        fresh[modality] = fresh.get(modality, 0) - count
        if fresh[modality] < 0:
            raise UnpricedError(f"the usage reports more cached {modality} tokens than its prompt has")
    for modality, count in _split("tool-use", usage.tool or 0, usage.tool_details).items():
        fresh[modality] = fresh.get(modality, 0) + count
    tokens = {f"input_{modality}": count for modality, count in fresh.items()}
    tokens.update({f"cached_{modality}": count for modality, count in cached.items()})
    return tokens


def _cached(usage: Usage) -> Tokens:
    if not usage.cached:
        return {}
    if usage.cached_details or not usage.prompt_details:
        return _split("cached", usage.cached, usage.cached_details)
    prompt = _split("prompt", _known_prompt(usage), usage.prompt_details)
    taken: Tokens = {}
    left = usage.cached
    for modality in MODALITIES:
        if count := min(left, prompt.get(modality, 0)):
            taken[modality] = count
            left -= count
    if left:
        raise UnpricedError("the usage reports more cached tokens than its prompt has")
    return taken


def _split(what: str, count: int, details: Details) -> Tokens:
    """A count by modality; the details' order is kept, text that they leave out comes last."""
    parts: Tokens = {}
    for modality, tokens in details:
        priced = PRICED_AS.get(modality, modality)
        parts[priced] = parts.get(priced, 0) + tokens
    left = count - sum(parts.values())
    if left > 0:
        parts["text"] = parts.get("text", 0) + left
    elif left < 0:
        # One modality alone leaves no doubt what the tokens are; how many there are, the count says.
        if len(parts) > 1:
            raise UnpricedError(f"the details of the {what} tokens make up more than their count")
        return dict.fromkeys(parts, count)
    return parts
