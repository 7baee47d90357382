"""`:links`: what a node is linked to."""

from __future__ import annotations

from vfs_core.errors import Invalid
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext


class Links(BaseSuffix):
    """A line for each link: kind, path and weight, separated by tabs."""

    write_operation = Operation.LINK

    def read(self, context: SuffixContext) -> str:
        """The links to what the caller may read."""
        links = context.session.links(context.path)
        return "".join(f"{link.kind}\t{link.target}\t{link.weight:g}\n" for link in links)

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Add links: lines of `kind path`, or of a path alone (`related`). All are judged before any is made."""
        wanted: list[tuple[str, str]] = []
        for line in data.decode("utf-8", "replace").splitlines():
            if not line.strip():
                continue
            kind, _, target = line.strip().partition("\t" if "\t" in line else " ")
            if kind.startswith("/"):
                kind, target = "related", line.strip()
            if not target.strip().startswith("/"):
                raise Invalid(f"{context.path}:links takes lines of 'kind /path', not {line.strip()!r}")
            wanted.append((kind, target.partition("\t")[0].strip()))
        for _, target in wanted:
            context.session.stat(target)
        for kind, target in wanted:
            context.session.link(context.path, target, kind)
