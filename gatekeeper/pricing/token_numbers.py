"""A hypothetical call that is given by token counts, as in the options of `prices quote`."""

from __future__ import annotations

from typing import NamedTuple

# The largest count that the API accepts, in digits.
MOST_TOKENS = 10**15


class TokenNumbers(NamedTuple):
    """Tokens of text; None where not given. `input` includes `cached`, `output` is without `thoughts`, as in
    the API's `usageMetadata`."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    thoughts: int | None = None

    @property
    def are_given(self) -> bool:
        """Whether they describe a call, which has at least input or output."""
        return self.input is not None or self.output is not None

    @property
    def contradict(self) -> bool:
        """Whether more tokens are cached than the prompt has."""
        return self.cached is not None and self.cached > (self.input or 0)

    def usage(self) -> dict[str, object]:
        """The counts as the `usageMetadata` of a response: counts that are not given are 0."""
        prompt, output, cached, thoughts = (number or 0 for number in self)
        return {
            "promptTokenCount": prompt,
            "candidatesTokenCount": output,
            "cachedContentTokenCount": cached,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": prompt + output + thoughts,
        }


# In the order of `TokenNumbers`.
MEANINGS = {
    "input": "Tokens of the prompt, cached ones included.",
    "output": "Tokens of the answer, without thoughts.",
    "cached": "How many of the prompt's tokens come from a cache.",
    "thoughts": "Tokens of thinking.",
}
CACHED_IS_PART = "cached tokens are a part of the prompt, and count in {input} too"
"""The error message; `input` is the name of that number where it was given."""
