"""`auto`: the best embedder that is installed, why it is that one, and what to type for a better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from avm_builtin.embedders import combined, minilm, multilingual
from avm_builtin.embedders.catalogue import INSTALL_BOTH, INSTALL_MINILM, INSTALL_MULTILINGUAL
from avm_builtin.embedders.installed import missing
from vfs_core.embedding import Embedder
from vfs_core.errors import MissingExtra
from vfs_core.types import JSON


class Choice(NamedTuple):
    """What `auto` stands for here.

    `embedder` makes it; None: nothing is installed. `name` is for people. The rest as `Embedder` has it.
    """

    embedder: type[Embedder] | None
    name: str
    reason: str
    advice: str


def choose() -> Choice:
    """Look at what is installed, importing none of it."""
    english = not missing(minilm.PACKAGE, "sentence_transformers", "torch")
    languages = not missing(multilingual.PACKAGE)
    if english and languages:
        return Choice(
            combined.Combined,
            "multilingual + minilm",
            "both are installed: multilingual-e5-small for every language, all-MiniLM-L6-v2 beside it for English",
            "",
        )
    if languages:
        return Choice(
            multilingual.Multilingual,
            "multilingual",
            "multilingual-e5-small is installed, all-MiniLM-L6-v2, which would make English better, is not",
            INSTALL_MINILM,
        )
    if english:
        return Choice(
            minilm.MiniLM,
            "minilm",
            "all-MiniLM-L6-v2 is installed, which knows English only; multilingual-e5-small is not",
            INSTALL_MULTILINGUAL,
        )
    return Choice(
        None, "none", "no embedding model is installed: search is by words alone", INSTALL_MULTILINGUAL
    )


class AutoEmbedder(Embedder):
    """Stands for what `choose` finds, and is equal to it in everything, fingerprint included.

    With nothing installed it has 0 dimensions, and `encode` raises MissingExtra. `name` says which it is.
    """

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        made, self.name, self.reason, self.advice = choose()
        self._embedder = made(config) if made is not None else None
        self.fingerprint = self._embedder.fingerprint if self._embedder else "none"
        self.dimensions = self._embedder.dimensions if self._embedder else 0
        self.parts = self._embedder.parts if self._embedder else ()

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says. Raises MissingExtra where nothing is installed."""
        if self._embedder is None:
            raise MissingExtra(f"there are no vectors: {self.reason}; type: {INSTALL_BOTH}")
        return self._embedder.encode(texts, kind)

    def scale(self, text: str) -> str:
        """That of the chosen one."""
        return self._embedder.scale(text) if self._embedder else ""
