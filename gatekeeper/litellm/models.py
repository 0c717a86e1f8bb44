"""Names of models in LiteLLM's lists: Google's, those of other providers, and an installation's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gatekeeper.keys.globs import check_model_globs
from gatekeeper.keys.litellm_fields import ALL_MODELS, google_name

# As Google's ids begin. OpenAI has text-embedding-ada and text-embedding-3, too.
FAMILIES = (
    "gemini-", "gemma-", "imagen-", "veo-", "lyria-", "learnlm-", "deep-research-", "text-embedding-00",
    "embedding-001", "embedding-gecko", "aqa", "models/", "tunedModels/", "gemini*", "gemma*", "imagen*",
    "veo*",
)  # fmt: skip
ANY = "*"
TEAM_MODELS = "all-team-models"


class Models(NamedTuple):
    """What a list allows: `globs`, empty for any model. `foreign` are names that are not Google's.
    `is_usable` is false if it allows nothing here."""

    globs: list[str]
    foreign: list[str]
    is_usable: bool = True


class ModelNames:
    """`own` maps names of an installation's own, as its configuration has them, to Google's."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._own = own or {}

    def google(self, name: str) -> str | None:
        """Google's name of one model, or glob of models; None if it is none of Google's."""
        name = self._own.get(name, name)
        plain = google_name(name)
        if plain != ANY and plain == name and not plain.startswith(FAMILIES):
            return None
        try:
            check_model_globs((plain,))
        except ValueError:
            return None
        return plain

    def of(self, names: list[str]) -> Models:
        """What a list of LiteLLM's allows. An empty one, and the names for all models, allow any; those for
        a team's do, too, because the group's own list holds for its keys."""
        if not names or ALL_MODELS in names or TEAM_MODELS in names or ANY in names:
            return Models([], [])
        found = {name: self.google(name) for name in names}
        globs = list(dict.fromkeys(glob for glob in found.values() if glob))
        foreign = [name for name, glob in found.items() if glob is None]
        # Without any it would be a list that allows everything.
        return Models([] if ANY in globs else globs, foreign, is_usable=bool(globs))
