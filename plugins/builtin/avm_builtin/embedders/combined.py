"""Two models in one vector: the multilingual one for every language, MiniLM beside it for English.

A vector is both models' unit vectors side by side, each times the root of its weight. The product of two of
them is then the weighted mean of both models' cosines, which is what ranks English best. Of a text that is not
English MiniLM knows nothing. Its place is left empty there, and the length that is missing goes into one
component for queries and another for documents, which never meet: so the product of a query and a document, one
of which is not English, is the multilingual cosine times that model's weight, whatever the other one is.
One vector a text, one index, one product: nothing that searches needs to know. What wants the models apart
finds the lengths in `parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from avm_builtin.embedders.arrays import encoded
from avm_builtin.embedders.languages import ENGLISH, language
from avm_builtin.embedders.minilm import MiniLM
from avm_builtin.embedders.multilingual import Multilingual
from vfs_core.embedding import Embedder
from vfs_core.types import JSON

if TYPE_CHECKING:
    from avm_builtin.embedders.arrays import Matrix

MULTILINGUAL_WEIGHT = 0.2
"""The most with which English is found no worse than by MiniLM alone: docs/decisions/0009-embedders.md."""
_FILL = 16
"""Components behind MiniLM's, of which the first two are used: vector instructions like multiples of 16."""
_BATCH = 64


class Combined(Embedder):
    """784 dimensions: 384 of `multilingual`, 384 of `minilm`, 16 to fill up. Options as those of `minilm`."""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        """Raises MissingExtra if either is not installed."""
        super().__init__(config)
        self._multilingual = Multilingual()
        self._minilm = MiniLM(config)
        self.parts = (self._multilingual.dimensions, self._minilm.dimensions + _FILL)
        self.dimensions = sum(self.parts)
        self.fingerprint = (
            f"[{self._multilingual.fingerprint}] {MULTILINGUAL_WEIGHT} + "
            f"[{self._minilm.fingerprint}] {1 - MULTILINGUAL_WEIGHT} if English"
        )

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says. Raises PluginError as the two models do."""
        return encoded(texts, self.dimensions, _BATCH, lambda run: self._encode(run, kind))

    def scale(self, text: str) -> str:
        """That of the multilingual model."""
        return self._multilingual.scale(text)

    def _encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Matrix:
        import numpy as np

        width, fill = self.parts[0], self.dimensions - _FILL
        result = np.zeros((len(texts), self.dimensions), np.float32)
        result[:, :width] = np.asarray(self._multilingual.encode(texts, kind)) * MULTILINGUAL_WEIGHT**0.5
        is_english = np.array([language(text) == ENGLISH for text in texts])
        english = [text for text, found in zip(texts, is_english, strict=True) if found]
        rest = (1 - MULTILINGUAL_WEIGHT) ** 0.5
        if english:
            result[is_english, width:fill] = np.asarray(self._minilm.encode(english, kind)) * rest
        result[~is_english, fill + (kind == "document")] = rest
        return result
