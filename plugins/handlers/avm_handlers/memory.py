"""The `memory` handler: another name for a directory of the store.

The store itself serves every path that no provider claims; this handler shows a part of it under a second
name (a bind mount), through the caller's session and so with the caller's rights:

    providers:
      - pattern: "/team/**"
        handler: memory
        config: { root: /memory/shared/team }
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vfs_core.config_text import Template
from vfs_core.errors import Invalid, NotFound
from vfs_core.handler import BaseHandler, Context
from vfs_core.path import compile_pattern
from vfs_core.types import JSON, Node, Stat

_WILDCARD = re.compile(r"\{[^{}/]*\}|\*+")


class MemoryHandler(BaseHandler):
    """Shows the directory `root` of the store under another name. Reads, writes, lists, deletes and renames."""

    caching = "never"  # the store is as fast, and rights may be taken back
    keeps_deadline = True

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        root = self.config.get("root")
        if not isinstance(root, str) or not root.startswith("/"):
            raise Invalid(
                "the handler 'memory' needs config.root, a directory of the store such as /memory/shared"
            )
        if isinstance(root, Template):
            raise Invalid(
                f"config.root of the handler 'memory' is one directory and names no parameters: {str(root)!r}"
            )
        self._root = root.rstrip("/")

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses what no instance can be made with, and a root that leads back into the rule itself."""
        root, rule = cls(config)._root, compile_pattern(pattern)
        path = _WILDCARD.sub("x", rule.text.rstrip("/"))  # one that the rule serves
        relative = path[len(rule.prefix.rstrip("/")) :]
        if re.fullmatch(rule.regex, root + relative):
            raise Invalid(
                f"config.root of the handler 'memory', {root or '/'!r}, is served by this rule itself, {pattern!r}, so "
                "that it would wait for itself; name a directory that the rule does not serve"
            )

    def read(self, path: str, context: Context) -> Node | None:
        """The node at the same place below the root, under the name it was asked by."""
        try:
            node = context.session.read(self._at(context))
        except NotFound:
            return None
        return node._replace(path=path)

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Replace the content."""
        context.session.write(self._at(context), data)

    def append(self, path: str, data: bytes, context: Context) -> None:
        """Add to the end."""
        context.session.append(self._at(context), data)

    def list(self, path: str, context: Context) -> list[tuple[str, Stat]]:
        """The names that the caller may know of, with their nodes' own stats."""
        return [(entry.name, entry.stat) for entry in context.session.list(self._at(context))]

    def stat(self, path: str, context: Context) -> Stat | None:
        """The node's own stat."""
        try:
            return context.session.stat(self._at(context))
        except NotFound:
            return None

    def delete(self, path: str, context: Context) -> None:
        """Remove the node."""
        context.session.delete(self._at(context))

    def rename(self, old: str, new: str, context: Context) -> None:
        """Move within the root."""
        prefix = old[: len(old) - len(context.relative)]
        context.session.rename(self._at(context), f"{self._root}/{new[len(prefix) :]}")

    def _at(self, context: Context) -> str:
        return f"{self._root}/{context.relative}" if context.relative else self._root or "/"
