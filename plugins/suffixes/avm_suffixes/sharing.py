"""`:shared`: the agents that a node is shared with."""

from __future__ import annotations

from avm_suffixes.text import decode
from vfs_core.errors import Invalid
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import Access


class Shared(BaseSuffix):
    """A line for each agent: `name`, or `name rw` if it may write."""

    write_operation = Operation.SHARE

    def read(self, context: SuffixContext) -> str:
        """The shares, by name."""
        shares = sorted(context.session.shares(context.path).items())
        return "".join(f"{agent} rw\n" if access == "rw" else f"{agent}\n" for agent, access in shares)

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Set the shares: names separated by commas or line breaks, `rw` behind a name lets it write."""
        wanted: dict[str, Access] = {}
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
