"""The memory of one agent: what it remembers, and what it recalls of what it may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from avm_builtin.memory import recalling, remembering
from avm_builtin.memory.recalling import Recalled, Strategy, TimeRange
from avm_builtin.memory.remembering import Remembered

if TYPE_CHECKING:
    from vfs_core.session import Session


class AgentMemory:
    """Remembers for one agent and recalls within a budget. Made by `AVM.agent_memory`; thread-safe."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def agent(self) -> str:
        """Whose memory it is."""
        return self._session.principal.agent

    def remember(
        self,
        content: str,
        title: str | None = None,
        importance: float = 0.5,
        tags: Sequence[str] = (),
        namespace: str | None = None,
        *,
        source: str | None = None,
        derived_from: Sequence[str] = (),
        supersedes: str | None = None,
        keep_secrets: bool = False,
    ) -> Remembered:
        """Store a note and say what it resembles: `.path`, `.stored`, `.similar`, `.redacted`.

        `namespace` None is this agent's private space, `"shared"` the shared one, another name a directory in it, a
        path that directory. `importance` is from 0 to 1. Text that is there already is not stored twice, secrets are
        taken out unless `keep_secrets`. `derived_from` and `supersedes` name notes; what is superseded is kept and
        ranks lower. Raises Invalid, NotFound, Denied.
        """
        return remembering.remember(
            self._session, content, title=title, importance=importance, tags=tags, namespace=namespace,
            source=source, derived_from=derived_from, supersedes=supersedes,
            keep_secrets=keep_secrets,
        )  # fmt: skip

    def recall(
        self,
        query: str,
        max_tokens: int = 4000,
        strategy: Strategy = "balanced",
        *,
        time_range: TimeRange | None = None,
        scope: str | None = None,
    ) -> str:
        """What this agent may see about a subject, as Markdown of at most `max_tokens` tokens (o200k).

        `strategy` is balanced, importance, recency or relevance. `time_range` is a moment to begin at (`"7d"`,
        `"2026-03-20"`) or a pair of moments, `scope` a directory to stay in. Raises Invalid.
        """
        return self.recollect(query, max_tokens, strategy, time_range=time_range, scope=scope).text

    def recollect(
        self,
        query: str,
        max_tokens: int = 4000,
        strategy: Strategy = "balanced",
        *,
        time_range: TimeRange | None = None,
        scope: str | None = None,
    ) -> Recalled:
        """`recall` with its parts: `.text`, `.frames`, `.matches`, `.tokens`, `.behind`."""
        return recalling.recall(
            self._session, query, max_tokens, strategy, time_range=time_range, scope=scope
        )
