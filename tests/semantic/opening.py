"""How these tests, and the processes that they start, open a store: with an embedder that needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfs_core.config import Config, EmbeddingSettings, PluginSettings, StorageSettings, VectorSettings
from vfs_core.kernel import Kernel
from vfs_core.semantic import SemanticIndex
from vfs_core.session import Session

BACKENDS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "sqlite": ("sqlite", {}),
    "auto": ("auto", {}),
    "flat": ("faiss", {"index": "flat"}),
    "sq8": ("faiss", {"index": "sq8"}),
    "hnsw": ("faiss", {"index": "hnsw"}),
}
MINUTE = 60.0


def open_kernel(
    db: str | Path, backend: str = "sqlite", model: str = "words", *, lasting: bool = False, **options: Any
) -> Kernel:
    """A kernel without a configuration file; `options` are those of the model."""
    config = Config(
        storage=StorageSettings(durability="normal"),
        plugins=PluginSettings(load=("words_plugin",)),
        embedding=EmbeddingSettings(model, options),
        vectors=VectorSettings(*BACKENDS[backend]),
    )
    return Kernel(config, db, lasting=lasting)


def index_of(kernel: Kernel) -> SemanticIndex:
    """Its semantic index."""
    runner = kernel.semantic()
    assert runner is not None
    assert isinstance(runner.follower, SemanticIndex)
    return runner.follower


def embed(kernel: Kernel) -> None:
    """Take in what is new, and embed all that waits."""
    runner = kernel.semantic()
    assert runner is not None
    assert runner.catch_up(MINUTE) == 0
    assert index_of(kernel).embed(runner, MINUTE) == 0


def found(session: Session, query: str) -> list[tuple[str, float]]:
    """All that an agent finds, with scores, as the index has it now."""
    runner = session.kernel.semantic()
    assert runner is not None
    runner.catch_up(MINUTE)
    answer = index_of(session.kernel).ask(query, session.judge.visible())
    nears = list(answer.nearest())
    paths: dict[int, list[str]] = {}
    for each in session.store.nodes([near.node for near in nears]):
        assert each.stat is not None
        paths.setdefault(each.stat.id, []).append(each.path)
    return [(min(paths[near.node]), near.score) for near in nears if near.node in paths]
