"""A memory searched by FAISS: `avm.embedding` with an index for many notes.

    from avm.embedding import LocalEmbedding
    from avm.faiss_store import FAISSEmbeddingStore

    store = FAISSEmbeddingStore(avm, LocalEmbedding(), index_type="hnsw")
    store.add_nodes(nodes)
    store.save()
    results = store.search("market analysis", k=5)

With `vectors: {backend: faiss}` in `config.yaml` the memory itself is searched so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from avm.embedding import EmbeddingStore, LocalEmbedding

if TYPE_CHECKING:
    from avm.client import AVM

IndexType = Literal["auto", "flat", "sq8", "hnsw"]


class FAISSEmbeddingStore(EmbeddingStore):
    """`index_type`: flat is exact, sq8 takes a quarter of the memory, hnsw is a graph, auto goes by size."""

    def __init__(
        self, memory: AVM, embedding: LocalEmbedding | None = None, index_type: IndexType = "auto"
    ) -> None:
        self._vectors = ("faiss", {"index": index_type})
        super().__init__(memory, embedding)

    def save(self) -> None:
        """Write the FAISS file now; otherwise it is written when there is much that is not in it."""
        self._session.save_vectors()


def get_faiss_store(
    memory: AVM, embedding: LocalEmbedding | None = None, index_type: IndexType = "auto"
) -> FAISSEmbeddingStore:
    """A FAISSEmbeddingStore."""
    return FAISSEmbeddingStore(memory, embedding, index_type)
