"""`:diff`, `:at` and `:blame`: what changed, what was, and who wrote which line."""

from __future__ import annotations

from vfs_core.errors import Invalid
from vfs_core.rendering import blame_json, blame_line, content_json
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON, Node


class Diff(BaseSuffix):
    """What changed between two versions: by default the last two; version 0 is before there was anything."""

    needs_store = True
    on_directories = False
    options = ("from", "to")

    def read(self, context: SuffixContext) -> str:
        """A unified diff; empty if the two are equal."""
        old = context.number("from", 0) if "from" in context.query else None
        new = context.number("to", 0, 1) if "to" in context.query else None
        return context.session.diff(context.path, old, new)

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return {"path": context.path, "diff": self.read(context)}


class At(BaseSuffix):
    """What a version said, or what was at the path at a time."""

    needs_store = True
    on_directories = False
    options = ("version", "t")

    def read(self, context: SuffixContext) -> bytes:
        """The content of then, byte for byte."""
        return _then(context).data

    def read_json(self, context: SuffixContext) -> JSON:
        """The same, with the version and its metadata."""
        node = _then(context)
        return {
            "path": node.path,
            "version": node.version,
            "modified": node.stat.modified.isoformat(),
            **content_json(node.data),
            "meta": node.meta,
        }


def _then(context: SuffixContext) -> Node:
    version, time = "version" in context.query, "t" in context.query
    if version == time:
        what = "a version or a time, not both" if version else "what to look at is missing"
        raise Invalid(f"{what}; write ?version=3 or ?t=2026-03-20, one of the two")
    if version:
        return context.session.as_of(context.path, version=context.number("version", 1, 1))
    return context.session.as_of(context.path, time=context.query["t"])


class Blame(BaseSuffix):
    """Which version brought each line."""

    needs_store = True
    on_directories = False

    def read(self, context: SuffixContext) -> str:
        """A line each: version, author, time, the line."""
        return "".join(f"{blame_line(each)}\n" for each in context.session.blame(context.path))

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [blame_json(each) for each in context.session.blame(context.path)]
