"""The memory of one agent: what it remembers, and what it recalls of what it may see."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, overload

from avm_builtin.memory import context as contexts
from avm_builtin.memory import digest, navigation, recalling, remembering, synthesis
from avm_builtin.memory import graph as graphs
from avm_builtin.memory.consolidation import carrying_out
from avm_builtin.memory.consolidation.actions import Kind
from avm_builtin.memory.consolidation.carrying_out import Consolidated, Listener
from avm_builtin.memory.consolidation.plan import KINDS
from avm_builtin.memory.digest import Digest
from avm_builtin.memory.graph import Format
from avm_builtin.memory.navigation import Browsed
from avm_builtin.memory.recalling import Recalled, Strategy, TimeRange
from avm_builtin.memory.remembering import Remembered
from vfs_core.errors import Invalid
from vfs_core.moments import DAY_NS, Moment

if TYPE_CHECKING:
    from vfs_core.searching import Results
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
        as_of: Moment | None = None,
    ) -> str:
        """What this agent may see about a subject, as Markdown of at most `max_tokens` tokens (o200k).

        `strategy` is balanced, importance, recency or relevance. `time_range` is a moment to begin at (`"7d"`,
        `"2026-03-20"`) or a pair of moments, `scope` a directory to stay in. `as_of` recalls, by words, what there was
        at a moment, as it was then. Raises Invalid.
        """
        return self.recollect(
            query, max_tokens, strategy, time_range=time_range, scope=scope, as_of=as_of
        ).text

    def recollect(
        self,
        query: str,
        max_tokens: int = 4000,
        strategy: Strategy = "balanced",
        *,
        time_range: TimeRange | None = None,
        scope: str | None = None,
        as_of: Moment | None = None,
        step: Callable[[int], None] | None = None,
    ) -> Recalled:
        """`recall` with its parts: `.text`, `.frames`, `.matches`, `.tokens`, `.behind`."""
        return recalling.recall(
            self._session, query, max_tokens, strategy, time_range=time_range, scope=scope, as_of=as_of,
            step=step,
        )  # fmt: skip

    def retrieve(self, query: str, limit: int = 10, expand: int = 0) -> Results:
        """Notes by words and meaning, best first, and what they are linked to, in at most `expand` steps."""
        return self._session.retrieve(query, limit, expand)

    def synthesize(self, topic: str, max_tokens: int = 4000) -> str:
        """One Markdown document about a topic: what the notes say, sentence by sentence, each with its source."""
        return synthesis.synthesize(self._session, topic, max_tokens)

    def context(self, max_tokens: int = 2000) -> str:
        """What this agent should know at the start of a session, as Markdown of at most `max_tokens` tokens.

        Notes with `pinned: true` in their metadata, those of this project, the last and the most important, and what
        else there is to ask for.
        """
        return contexts.context(self._session, max_tokens).text

    # --- over time -------------------------------------------------------------------------------

    def consolidate(
        self,
        under: str | None = None,
        *,
        older_than: str = "30d",
        only: Collection[Kind] = KINDS,
        dry_run: bool = False,
        listener: Listener | None = None,
    ) -> Consolidated:
        """Merge what is doubled, sum up what is old, let what nobody uses fade into the archive. Deletes nothing.

        `under` is a directory (default: this agent's private space), `older_than` a duration that younger notes are
        left alone by, `only` some of `merge`, `summarise`, `decay`. `.done` and `.skipped` tell what was done;
        `AVM.undo(run=...)` with `.run` takes it back. Raises Invalid, NotFound, PluginError.
        """
        return carrying_out.consolidate(
            self._session, under, older_than=older_than, only=only, dry_run=dry_run, listener=listener
        )

    def digest(self, days: float = 1, max_tokens: int = 2000, *, since: Moment | None = None) -> Digest:
        """What happened in the last days, or since a moment, of what this agent may read: `.text` and its parts."""
        if since is None and not days > 0:
            raise Invalid(f"a digest is of a number of days above 0, not {days!r}")
        begin = int(time.time_ns() - days * DAY_NS) if since is None else since
        return digest.digest(self._session, begin, max_tokens)

    def save_digest(self, made: Digest) -> str:
        """Keep a digest as a note in this agent's private space, and return its path. Raises Denied if it is shared."""
        return digest.save(self._session, made)

    # --- without a keyword -----------------------------------------------------------------------

    def topics(self) -> str:
        """What there is, by category and by tag."""
        return str(navigation.topics(self._session))

    @overload
    def browse(self, path: str = "/memory", depth: int = 2) -> str: ...

    @overload
    def browse(self, path: str = "/", *, query: str, limit: int = 20) -> list[Browsed]: ...

    def browse(
        self, path: str = "/memory", depth: int = 2, *, query: str | None = None, limit: int = 20
    ) -> str | list[Browsed]:
        """The tree below a path with counts; with a query the notes that match, as paths and summaries to `fetch`.

        Raises NotFound, Invalid.
        """
        if query is None:
            return str(navigation.tree(self._session, path, depth))
        return navigation.browse(self._session, query, limit, path)

    def fetch(self, paths: Sequence[str], max_tokens: int = 4000) -> str:
        """The notes at paths, framed as `recall` frames them, of at most `max_tokens` tokens."""
        return navigation.fetch(self._session, paths, max_tokens)

    def timeline(self, days: float = 7, limit: int = 10) -> str:
        """What happened in the last days, last first."""
        return str(navigation.timeline(self._session, days, limit))

    def recent(self, limit: int = 10) -> str:
        """What was written last, whenever that was."""
        return str(navigation.recent(self._session, limit))

    def explore(self, path: str, depth: int = 2) -> str:
        """What the links of a note lead to, in at most `depth` hops. Raises NotFound."""
        return str(navigation.explore(self._session, path, depth))

    def graph(
        self, path: str = "/memory", depth: int = 2, format: Format = "mermaid", *, limit: int = graphs.LIMIT
    ) -> str:
        """A note, or the linked notes below a directory, and what is at most `depth` links away, to be drawn.

        `format` is mermaid, dot or json. At most `limit` notes; a remark says how many are left out. Raises NotFound,
        Invalid.
        """
        return graphs.drawn(graphs.graph(self._session, path, depth, limit), format)

    def tag_cloud(self) -> dict[str, int]:
        """The tags of what this agent may see, with how many notes carry each, most first."""
        return self._session.tag_counts()
