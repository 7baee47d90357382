"""Vectors that no model made, for what would take a model hours: a plugin, as others make them, named by `STAND_IN`.

What is measured with them is how fast, never how well: the vectors say nothing of what the texts mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avm_builtin.embedders.auto import AutoEmbedder
from vfs_core.config import Config, EmbeddingSettings, PluginSettings, StorageSettings
from vfs_core.hookspecs import hookimpl
from vfs_core.kernel import Kernel
from vfs_core.specs import EmbedderSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAND_IN = "stand-in"
DIMENSIONS = 384
_VARIED = 32
"""Directions in which vectors differ much: about as many as those of sentences do. In all the others there is noise."""
_NOISE = 0.05
_BLOCK = 10_000


class StandIn(AutoEmbedder):
    """Passes for the model that is installed: queries are embedded by it, documents get what their hash gives."""

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """As the contract says."""
        if kind == "query":
            return super().encode(texts, kind)
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
            vectors[row] = np.random.default_rng(seed).standard_normal(self.dimensions, np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.data


@hookimpl
def avm_register_embedders() -> list[EmbedderSpec]:
    """The stand-in."""
    return [EmbedderSpec(STAND_IN, StandIn, "Random vectors for documents, for benchmarks")]


def open_stand_in(db: Path) -> Kernel:
    """A kernel whose notes get vectors that no model made."""
    return Kernel(
        Config(
            storage=StorageSettings(durability="normal"),
            plugins=PluginSettings(load=(__name__,)),
            embedding=EmbeddingSettings(STAND_IN),
        ),
        db,
    )


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Random unit vectors, always the same for a seed; those of different seeds differ in the same directions."""
    directions = np.random.default_rng(1).standard_normal((_VARIED, DIMENSIONS)).astype(np.float32)
    generator = np.random.default_rng(seed)
    vectors: NDArray[np.float32] = (
        generator.standard_normal((count, _VARIED), np.float32) @ directions / DIMENSIONS**0.5
    )
    vectors += _NOISE * generator.standard_normal((count, DIMENSIONS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def blocks_of(vectors: NDArray[np.float32]) -> Iterator[memoryview]:
    """The same vectors as a backend is given them."""
    for start in range(0, len(vectors), _BLOCK):
        yield np.ascontiguousarray(vectors[start : start + _BLOCK]).data
