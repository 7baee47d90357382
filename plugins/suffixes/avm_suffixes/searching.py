"""`:search`: paths and snippets of what matches below a directory, to be read afterwards one by one."""

from __future__ import annotations

from typing import cast

from vfs_core.rendering import one_line
from vfs_core.searching import Mode, Results
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON


class Search(BaseSuffix):
    """Notes below a directory that match, best first."""

    needs_store = True
    on_files = False
    read_operation = Operation.SEARCH
    options = ("q", "limit", "mode")

    def read(self, context: SuffixContext) -> str:
        """Two lines each: `[score] /path`, and what it says, indented. Nothing if nothing is found."""
        lines = []
        for hit in _hits(context):
            lines.append(f"[{hit.score:.2f}] {one_line(hit.path)}\n")
            if hit.snippet:
                lines.append(f"    {one_line(hit.snippet)}\n")
        return "".join(lines)

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [
            {"path": hit.path, "score": round(hit.score, 4), "snippet": hit.snippet} for hit in _hits(context)
        ]


def _hits(context: SuffixContext) -> Results:
    mode = cast(Mode, context.query.get("mode", "lexical"))  # the search says which there are
    return context.session.search(context.words(), context.number("limit", 10, 1), mode, under=context.path)
