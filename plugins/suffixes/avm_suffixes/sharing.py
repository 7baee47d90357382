"""`:shared` and `:access`: the agents that a node is shared with, and who may do what with it."""

from __future__ import annotations

from dataclasses import asdict

from avm_suffixes.text import decode
from vfs_core.errors import Invalid
from vfs_core.rendering import access_head, access_rows, one_line
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON
from vfs_core.types import Access as Granted


class Shared(BaseSuffix):
    """A line for each agent: `name`, or `name rw` if it may write."""

    needs_store = True
    write_operation = Operation.SHARE

    def read(self, context: SuffixContext) -> str:
        """The shares, by name."""
        shares = sorted(context.session.shares(context.path).items())
        return "".join(f"{agent} rw\n" if access == "rw" else f"{agent}\n" for agent, access in shares)

    def read_json(self, context: SuffixContext) -> JSON:
        """By agent, `r` or `rw`."""
        return dict(sorted(context.session.shares(context.path).items()))

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Set the shares: names separated by commas or line breaks, `rw` behind a name lets it write."""
        wanted: dict[str, Granted] = {}
        for item in decode(data, f"{context.path}:shared").replace(",", "\n").split("\n"):
            name, _, access = item.strip().partition(" ")
            if not name:
                continue
            if access not in ("", "r", "rw"):
                raise Invalid(
                    f"{context.path}:shared takes names, each with 'rw' behind it or not, not {item!r}"
                )
            wanted[name] = "rw" if access == "rw" else "r"
        context.session.set_shares(context.path, wanted)


class Access(BaseSuffix):
    """Who may do what with a node, and by which rule."""

    def read(self, context: SuffixContext) -> str:
        """What holds for all, a line each; then one for each agent: name, what it may, why not more, by tabs."""
        report = context.session.access(context.path)
        rows = ("\t".join(map(one_line, row)) for row in access_rows(report))
        return "".join(f"{line}\n" for line in (*access_head(report), *rows))

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return asdict(context.session.access(context.path))
