"""The batteries: storage engines, search backends, embedding models, front ends. Registers them; imports none."""

from __future__ import annotations

from avm_builtin.embedders.catalogue import EMBEDDERS
from avm_builtin.frontends.cli.catalogue import COMMANDS
from vfs_core.hookspecs import hookimpl
from vfs_core.specs import CommandSpec, EmbedderSpec, SearchSpec, StoreSpec


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
def avm_register_commands() -> tuple[CommandSpec, ...]:
    """The command line."""
    return COMMANDS
