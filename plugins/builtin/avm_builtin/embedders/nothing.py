"""`none`: no vectors at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vfs_core.embedding import Embedder
from vfs_core.errors import Unsupported


class NoEmbedder(Embedder):
    """Stands for the decision to search by words alone: 0 dimensions, and nothing can be encoded."""

    fingerprint = "none"
    dimensions = 0
    reason = "switched off by the configuration: search is by words alone"

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """Raises Unsupported, unless there is nothing to encode."""
        if texts:
            raise Unsupported(
                "there are no vectors: the embedder is `none`; `auto` is the one for semantic search"
            )
        return memoryview(b"")
