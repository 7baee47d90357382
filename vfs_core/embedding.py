"""The embedder contract: text to vectors, on this machine, without a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

from vfs_core.types import JSON


class Embedder(ABC):
    """An embedding model. Made with the `config` of its section; loads the model on first `encode`.

    `fingerprint` names model, weights, prefix and pooling: vectors of different fingerprints are
    never compared. `dimensions` is the length of a vector.
    """

    fingerprint: str
    dimensions: int

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        self.config: Mapping[str, JSON] = config or {}

    @abstractmethod
    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """Unit-length float32 vectors, one per text: a C-contiguous view of shape (len(texts), dimensions)."""
