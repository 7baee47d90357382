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

from avm import errors
from avm.client import AVM
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.hookspecs import hookimpl
from vfs_core.plugins import register_handler, register_suffix
from vfs_core.specs import (
    CommandSpec,
    DiscoverySpec,
    EmbedderSpec,
    FollowerSpec,
    HandlerSpec,
    SearchSpec,
    StoreSpec,
    SuffixSpec,
)
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import Entry, Hit, Kind, Link, Node, Stat, Version

__version__ = "0.1.0"

__all__ = [
    "AVM",
    "BaseHandler",
    "BaseSuffix",
    "Capabilities",
    "CommandSpec",
    "Context",
    "DiscoverySpec",
    "EmbedderSpec",
    "Entry",
    "FollowerSpec",
    "HandlerSpec",
    "Hit",
    "Kind",
    "Link",
    "Node",
    "SearchSpec",
    "Stat",
    "StoreSpec",
    "SuffixContext",
    "SuffixSpec",
    "Version",
    "errors",
    "hookimpl",
    "register_handler",
    "register_suffix",
]
