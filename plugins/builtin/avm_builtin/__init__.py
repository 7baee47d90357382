"""The batteries: storage engines, search backends, embedding models, front ends. Registers them; imports none."""

from __future__ import annotations

from avm_builtin.embedders.catalogue import EMBEDDERS
from avm_builtin.frontends.cli.catalogue import COMMANDS
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import (
    CommandSpec,
    EmbedderSpec,
    FollowerSpec,
    SearchSpec,
    StoreSpec,
    SuffixSpec,
    SummariserSpec,
    VectorSpec,
)
from vfs_core.types import JSON

INSTALL_VECTORS = "pip install 'avm[semantic]'"
_NOTHING: dict[str, JSON] = {"type": "object", "additionalProperties": False, "properties": {}}


@hookimpl
def avm_register_stores() -> list[StoreSpec]:
    """The embedded store."""
    return [
        StoreSpec(
            "sqlite", "avm_builtin.storage.sqlite.store:SqliteStore", "One SQLite file on this machine"
        ),
    ]


@hookimpl
def avm_register_search() -> list[SearchSpec]:
    """Lexical search."""
    return [
        SearchSpec("auto", "avm_builtin.search.words:auto", "Words: English in all forms, Chinese in pairs"),
        SearchSpec("fts5", "avm_builtin.search.words:fts5_alone", "The same, in SQLite alone"),
        SearchSpec(
            "tantivy", "avm_builtin.search.words:tantivy", "The same, with tantivy from the first note on"
        ),
    ]


@hookimpl
def avm_register_embedders() -> tuple[EmbedderSpec, ...]:
    """Embedding models."""
    return EMBEDDERS


@hookimpl
def avm_register_vectors() -> list[VectorSpec]:
    """Ways to find the nearest vectors."""
    return [
        VectorSpec(
            "auto",
            "avm_builtin.vectors.by_size:BySize",
            "Numpy up to 100,000 vectors, FAISS above that",
            _NOTHING,
            INSTALL_VECTORS,
        ),
        VectorSpec(
            "sqlite",
            "avm_builtin.vectors.brute_force:BruteForce",
            "Compare with every vector, by numpy",
            _NOTHING,
            INSTALL_VECTORS,
        ),
        VectorSpec(
            "faiss",
            "avm_builtin.vectors.faiss_index:Faiss",
            "FAISS: flat, sq8 or hnsw",
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "index": {
                        "description": "flat: exact; sq8: a quarter of the size; hnsw: a graph; auto: flat to 100,000.",
                        "enum": ["auto", "flat", "sq8", "hnsw"],
                    }
                },
            },
            INSTALL_VECTORS,
        ),
    ]


@hookimpl
def avm_register_followers() -> list[FollowerSpec]:
    """What follows the journal beside the search index."""
    return [
        FollowerSpec(
            "semantic",
            "avm_builtin.vectors.index:VectorIndex",
            "Finds notes by what they mean",
            requires=INSTALL_VECTORS,
        ),
        FollowerSpec(
            "links",
            "avm_builtin.linking.reactor:TextLinks",
            "Links from [[names]] and Markdown links",
            at_close=False,
        ),
    ]


@hookimpl
def avm_register_summarisers() -> list[SummariserSpec]:
    """Summaries."""
    return [
        SummariserSpec(
            "extractive",
            "avm_builtin.memory.consolidation.extractive:ExtractiveSummariser",
            "Sentences of the notes themselves; no language model",
        ),
    ]


@hookimpl
def avm_register_suffixes() -> list[SuffixSpec]:
    """The virtual node that asks the memory."""
    return [
        SuffixSpec(
            "recall", "avm_builtin.memory.suffix:Recall", "What you may see of it; ?q=WORDS, max_tokens"
        )
    ]


@hookimpl
def avm_register_commands() -> tuple[CommandSpec, ...]:
    """The command line."""
    return COMMANDS
