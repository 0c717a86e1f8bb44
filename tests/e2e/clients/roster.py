"""The clients that are tried out, as `clients.toml` lists them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPT_LANGUAGES = ("Python", "JavaScript", "shell")


@dataclass(frozen=True)
class Client:
    """`install` are requirements of pip's or npm's, pinned. `page`: a browser opens the script."""

    name: str
    language: str
    install: tuple[str, ...] = ()
    script: str = ""
    ci: bool = False
    quirks: tuple[str, ...] = ()
    page: bool = False

    @property
    def version(self) -> str:
        """That of the first requirement, which is the client itself."""
        return (
            self.install[0].rpartition("==" if self.language == "Python" else "@")[2] if self.install else ""
        )

    @property
    def recipe(self) -> str:
        """The lines of its script that point it at a gateway."""
        text = (FOLDER / self.script).read_text(encoding="utf-8")
        mark = "//" if self.script.endswith(".mjs") else "#"
        return text.split(f"{mark} recipe\n")[1].split(f"{mark} end of recipe\n")[0].strip()


def roster(file: Path = FOLDER / "clients.toml") -> dict[str, Client]:
    listed = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        name: Client(
            name, **{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        )
        for name, fields in listed.items()
    }
