"""AVM: one local memory for all your agents, as a versioned, permissioned, searchable virtual filesystem.

    from avm import AVM

    with AVM() as avm:
        avm.write("/memory/lesson.md", "# Trading Lesson\\n\\nRSI > 70 = overbought")
        node = avm.read("/memory/lesson.md")
        hits = avm.search("RSI")

A handler of your own:

    from avm import BaseHandler, register_handler

    class RedisHandler(BaseHandler):
        def read(self, path, context):
            return self.redis.get(path)

    register_handler("redis", RedisHandler)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avm import errors as errors
    from avm.client import AVM as AVM
    from avm_builtin.memory.agent import AgentMemory as AgentMemory
    from vfs_core.handler import BaseHandler as BaseHandler
    from vfs_core.handler import Capabilities as Capabilities
    from vfs_core.handler import Context as Context
    from vfs_core.hookspecs import hookimpl as hookimpl
    from vfs_core.plugins import register_handler as register_handler
    from vfs_core.plugins import register_suffix as register_suffix
    from vfs_core.searching import Results as Results
    from vfs_core.specs import CommandSpec as CommandSpec
    from vfs_core.specs import DiscoverySpec as DiscoverySpec
    from vfs_core.specs import EmbedderSpec as EmbedderSpec
    from vfs_core.specs import FollowerSpec as FollowerSpec
    from vfs_core.specs import HandlerSpec as HandlerSpec
    from vfs_core.specs import SearchSpec as SearchSpec
    from vfs_core.specs import StoreSpec as StoreSpec
    from vfs_core.specs import SuffixSpec as SuffixSpec
    from vfs_core.specs import SummariserSpec as SummariserSpec
    from vfs_core.specs import VectorSpec as VectorSpec
    from vfs_core.suffix import BaseSuffix as BaseSuffix
    from vfs_core.suffix import SuffixContext as SuffixContext
    from vfs_core.types import Entry as Entry
    from vfs_core.types import Hit as Hit
    from vfs_core.types import Kind as Kind
    from vfs_core.types import Link as Link
    from vfs_core.types import Node as Node
    from vfs_core.types import Stat as Stat
    from vfs_core.types import Version as Version

__version__ = "0.1.0"

_HOMES = {
    "avm.client": ("AVM",),
    "avm_builtin.memory.agent": ("AgentMemory",),
    "vfs_core.handler": ("BaseHandler", "Capabilities", "Context"),
    "vfs_core.hookspecs": ("hookimpl",),
    "vfs_core.plugins": ("register_handler", "register_suffix"),
    "vfs_core.searching": ("Results",),
    "vfs_core.specs": (
        "CommandSpec",
        "DiscoverySpec",
        "EmbedderSpec",
        "FollowerSpec",
        "HandlerSpec",
        "SearchSpec",
        "StoreSpec",
        "SuffixSpec",
        "VectorSpec",
        "SummariserSpec",
    ),
    "vfs_core.suffix": ("BaseSuffix", "SuffixContext"),
    "vfs_core.types": ("Entry", "Hit", "Kind", "Link", "Node", "Stat", "Version"),
}
"""Where each public name lives: imported when it is first used, since the command line needs few of them."""

__all__ = ["errors", *sorted(name for names in _HOMES.values() for name in names)]  # noqa: PLE0604 - all are str


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "errors":
        return import_module("avm.errors")
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    raise AttributeError(f"module 'avm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
