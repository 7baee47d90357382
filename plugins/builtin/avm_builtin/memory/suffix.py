"""`:recall`: the memory of an agent as a virtual node. Formats: docs/suffixes.md."""

from __future__ import annotations

from typing import cast

from avm_builtin.memory import recalling
from avm_builtin.memory.recalling import Recalled, Strategy
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON

_MOST_TOKENS = 1_000_000


class Recall(BaseSuffix):
    """What this agent may see about a subject, of what is below a directory, within a budget of tokens."""

    needs_store = True
    on_files = False
    read_operation = Operation.SEARCH
    options = ("q", "max_tokens", "strategy")

    def read(self, context: SuffixContext) -> str:
        """Markdown."""
        return _recalled(context).text

    def read_json(self, context: SuffixContext) -> JSON:
        """The same, with its parts."""
        return recalled_json(_recalled(context))


def _recalled(context: SuffixContext) -> Recalled:
    strategy = cast(Strategy, context.query.get("strategy", "balanced"))  # recall says which there are
    budget = context.number("max_tokens", 4000, 1, _MOST_TOKENS)
    return recalling.recall(context.session, context.words(), budget, strategy, scope=context.path)


def recalled_json(found: Recalled) -> dict[str, JSON]:
    """What was recalled as JSON."""
    return {
        "text": found.text,
        "tokens": found.tokens,
        "matches": found.matches,
        "notes": [
            {"path": each.path, "score": round(each.score, 4), "author": each.author, "text": each.text}
            for each in found.frames
        ],
    }
