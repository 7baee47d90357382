"""Embedding by hand: which model, and a view of a memory that is searched by it.

    from avm import AVM
    from avm.embedding import EmbeddingStore, LocalEmbedding

    with AVM() as avm, EmbeddingStore(avm, LocalEmbedding()) as store:
        store.embed_all()
        for hit in store.search("market analysis", k=5):
            print(hit.path, hit.score)

`AVM.semantic` does the same with the configured model, and mostly that is all one needs. These views are for another
model, or another way to compare vectors, beside it. They see what their agent sees, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from vfs_core.config import EmbeddingSettings, VectorSettings
from vfs_core.embedding import shared
from vfs_core.errors import Invalid
from vfs_core.kernel import MEMORY_LOCATION, Kernel
from vfs_core.plugins import Registry
from vfs_core.types import Hit, Node

if TYPE_CHECKING:
    from avm.client import AVM
    from vfs_core.embedding import Embedder

Store = TypeVar("Store", bound="EmbeddingStore")

_NAMES = {"all-MiniLM-L6-v2": "minilm", "sentence-transformers/all-MiniLM-L6-v2": "minilm"}
"""Models that are known by another name."""


class LocalEmbedding:
    """An embedding model on this machine.

    `model` is an embedder (`auto`, `minilm`, `multilingual`), or a sentence-transformers model: a directory, or a
    name in the cache of Hugging Face. `config` is what the embedder takes, for instance `device="cuda"`.
    """

    def __init__(self, model: str = "auto", **config: Any) -> None:
        model = _NAMES.get(model, model)
        if model not in Registry().embedders():
            model, config = "sentence-transformers", {"model": model, **config}
        self.settings = EmbeddingSettings(model, config)

    @cached_property
    def embedder(self) -> Embedder:
        """The model itself. Raises MissingExtra, PluginError."""
        return shared(Registry().load("embedder", self.settings.model), self.settings.config)

    @property
    def dimensions(self) -> int:
        """How long a vector is."""
        return self.embedder.dimensions

    def encode(self, text: str) -> list[float]:
        """The vector of a query, of length 1."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of queries, each of length 1."""
        vectors: Any = self.embedder.encode(texts, "query")
        return [list(map(float, vector)) for vector in vectors.tolist()] if texts else []


class EmbeddingStore:
    """A memory searched by a model of one's own, comparing with every vector: exact, good up to some 20,000 notes.

    `memory` is an AVM on a file. Close it, or use it as a context manager.
    """

    _vectors: tuple[str, Mapping[str, Any]] = ("sqlite", {})

    def __init__(self, memory: AVM, embedding: LocalEmbedding | None = None) -> None:
        session = memory.session
        kernel = session.kernel
        if kernel.location == MEMORY_LOCATION:
            raise Invalid("a memory without a file has no second view; use AVM.semantic")
        settings = (embedding or LocalEmbedding()).settings
        config = replace(kernel.config, embedding=settings, vectors=VectorSettings(*self._vectors))
        self._kernel = Kernel(config, kernel.location)
        self._session = self._kernel.open_session(session.principal)

    def embed_all(self) -> int:
        """Embed all that is not; returns how many parts of notes that were."""
        return self._session.embed()

    def add_nodes(self, nodes: Iterable[Node | str]) -> int:
        """See to it that these notes (or paths) are embedded, with all that the store has; returns how many they are.

        Raises NotFound for what is not there, or not for this agent.
        """
        count = 0
        for node in nodes:
            self._session.stat(node if isinstance(node, str) else node.path)
            count += 1
        self.embed_all()
        return count

    def save(self) -> None:
        """Nothing is left to save: every batch is written when it is embedded."""

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """The notes nearest to a query, best first: `.path`, `.score` in [0, 1], `.snippet`."""
        return self._session.search(query, k, "semantic")

    def close(self) -> None:
        """Let go of the memory."""
        self._kernel.close()

    def __enter__(self: Store) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
