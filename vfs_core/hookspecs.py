"""The hooks that a plugin may implement. Each registers and does nothing else.

A plugin is a module (named by an entry point in the group `avm`, or under `plugins:` in the
configuration) whose functions carry `@hookimpl`. Hooks run once, when a kernel opens; no hook is ever in
the path of a request, grants access, or sees a node.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from vfs_core.specs import (
    CommandSpec,
    DiscoverySpec,
    EmbedderSpec,
    FollowerSpec,
    HandlerSpec,
    SearchSpec,
    StoreSpec,
    SuffixSpec,
    SummariserSpec,
    VectorSpec,
)

PROJECT = "avm"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def avm_register_handlers() -> Sequence[HandlerSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Handlers that provider rules may name."""


@hookspec
def avm_register_suffixes() -> Sequence[SuffixSpec]:  # type: ignore[empty-body]
    """Virtual-node suffixes."""


@hookspec
def avm_register_stores() -> Sequence[StoreSpec]:  # type: ignore[empty-body]
    """Storage engines."""


@hookspec
def avm_register_search() -> Sequence[SearchSpec]:  # type: ignore[empty-body]
    """Search backends."""


@hookspec
def avm_register_embedders() -> Sequence[EmbedderSpec]:  # type: ignore[empty-body]
    """Embedding models."""


@hookspec
def avm_register_vectors() -> Sequence[VectorSpec]:  # type: ignore[empty-body]
    """Ways to find the nearest vectors."""


@hookspec
def avm_register_summarisers() -> Sequence[SummariserSpec]:  # type: ignore[empty-body]
    """What makes summaries."""


@hookspec
def avm_register_discovery() -> Sequence[DiscoverySpec]:  # type: ignore[empty-body]
    """Discovery strategies."""


@hookspec
def avm_register_followers() -> Sequence[FollowerSpec]:  # type: ignore[empty-body]
    """Followers of the journal that are neither search backends nor discovery strategies."""


@hookspec
def avm_register_commands() -> Sequence[CommandSpec]:  # type: ignore[empty-body]
    """Commands of the CLI."""
