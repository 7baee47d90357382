"""`:links`: what a node is linked to."""

from __future__ import annotations

import re

from avm_suffixes.text import decode
from vfs_core.errors import Invalid
from vfs_core.rendering import one_line
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON, MENTION, Link

_LINE = re.compile(r"(?:(?P<kind>[^/\s]+)[ \t]+)?(?P<target>/[^\t]*)(?:\t(?P<weight>[^\t]*))?")


class Links(BaseSuffix):
    """A line for each link: kind, path and weight, separated by tabs."""

    needs_store = True
    write_operation = Operation.LINK

    def read(self, context: SuffixContext) -> str:
        """The links to what the caller may read."""
        links = context.session.links(context.path)
        return "".join(f"{link.kind}\t{one_line(link.target)}\t{link.weight:g}\n" for link in links)

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [
            {"kind": link.kind, "target": link.target, "weight": link.weight}
            for link in context.session.links(context.path)
        ]

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Add links, all or none: lines as they are read, of `kind path`, or of a path alone (`related`).

        Those that follow from what the note says (`mention`) are left to it.
        """
        lines = decode(data, f"{context.path}:links").split("\n")
        links = [_link(context.path, line.strip()) for line in lines if line.strip()]
        context.session.link_many([link for link in links if link.kind != MENTION])


def _link(source: str, line: str) -> Link:
    found = _LINE.fullmatch(line)
    try:
        if found is None:
            raise ValueError(line)
        return Link(source, found["kind"] or "related", found["target"], float(found["weight"] or 1))
    except ValueError:
        raise Invalid(f"{source}:links takes lines of 'kind /path', not {line!r}") from None
