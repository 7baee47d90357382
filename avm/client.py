"""The Python door: `AVM`, one agent's view of the memory."""

from __future__ import annotations

import builtins
import time as time_module
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfs_core.config import PROVIDER_SECONDS, ProviderRule
from vfs_core.errors import Invalid
from vfs_core.kernel import Kernel

if TYPE_CHECKING:
    from avm_builtin.memory.agent import AgentMemory
    from avm_builtin.memory.graph import Format
    from avm_builtin.memory.recalling import Strategy, TimeRange
    from vfs_core.explaining import AccessReport
    from vfs_core.finding import Stats
    from vfs_core.hindsight import BlamedLine
    from vfs_core.moments import Moment
    from vfs_core.past import Trashed
    from vfs_core.searching import Mode, Results
    from vfs_core.session import Session
    from vfs_core.storage import Moved
    from vfs_core.types import Access, Entry, Link, Node, Stat, Version
    from vfs_core.undoing import UndoReport


class AVM:
    """The memory as one agent sees it. Thread-safe; close it, or use it as a context manager.

    `config` is a configuration file (default: `AVM_CONFIG`, then the XDG place, else none), `db` the store's
    file (default: the configuration's, then `~/.local/share/avm/avm.db`), `agent` who to be (default:
    `AVM_AGENT`, then the login). `providers` mounts handlers: mappings with `pattern`, `handler` and optionally
    `config` and `ttl`, as in `config.yaml`.

    The first write makes the store; reading one that is not there creates nothing.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        db: str | Path | None = None,
        agent: str | None = None,
        *,
        providers: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._kernel = Kernel(config, db, [_rule(given) for given in providers], lasting=True)
        try:
            self._session = self._kernel.session(agent)
        except BaseException:
            self._kernel.close()
            raise

    # --- files -----------------------------------------------------------------------------------

    def read(self, path: str) -> Node:
        """The node at a path: `.data`, `.text`, `.meta`, `.tags`, `.version`, `.stat`. Raises NotFound, Denied."""
        return self._session.read(path)

    def write(
        self,
        path: str,
        content: bytes | str,
        meta: Mapping[str, Any] | None = None,
        *,
        base_version: int | None = None,
    ) -> Version:
        """Replace (or create) a file; missing parents are made.

        `meta` None keeps the metadata, a mapping merges, a None in it removes; `meta["tags"]` are the tags. Raises
        Conflict if the file is not at `base_version` (0: must not exist) any more.
        """
        return self._session.write(path, content, meta, base_version=base_version)

    def write_many(self, notes: Sequence[tuple[str, bytes | str]]) -> list[Version]:
        """Write several files in one transaction: all or none."""
        return self._session.write_many(notes)

    def append(self, path: str, content: bytes | str) -> Version:
        """Add to the end of a file, creating it if absent; concurrent appends never lose each other."""
        return self._session.append(path, content)

    def list(
        self, path: str = "/memory", *, limit: int | None = None, after: str = ""
    ) -> builtins.list[Entry]:
        """The entries of a directory, by name: at most `limit`, those after the name `after`."""
        return self._session.list(path, limit=limit, after=after)

    def stat(self, path: str) -> Stat:
        """What is known of a path without its content."""
        return self._session.stat(path)

    def exists(self, path: str) -> bool:
        """Whether there is something that this agent may know of."""
        return self._session.exists(path)

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> Stat:
        """Make a directory."""
        return self._session.mkdir(path, parents=parents, exist_ok=exist_ok)

    def delete(self, path: str, *, recursive: bool = False) -> int:
        """Remove a file or an empty directory, with `recursive` a whole tree; returns how many names."""
        return self._session.delete(path, recursive=recursive)

    def rename(self, old: str, new: str, *, replace: bool = False) -> Moved:
        """Move a file or a directory. Raises Exists unless `replace`."""
        return self._session.rename(old, new, replace=replace)

    def rename_prefix(self, old: str, new: str) -> Moved:
        """Move everything whose path begins with `old`, all or none."""
        return self._session.rename_prefix(old, new)

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of a file from `offset` on."""
        return self._session.read_range(path, offset, size)

    def write_blocks(
        self,
        path: str,
        blocks: Iterable[bytes],
        meta: Mapping[str, Any] | None = None,
        *,
        base_version: int | None = None,
    ) -> Version:
        """`write` of a content that comes block by block: memory stays flat, and it is there wholly or not at all."""
        return self._session.write_blocks(path, blocks, meta, base_version=base_version)

    def symlink(self, target: str, path: str) -> Stat:
        """Make a symlink. Reading follows a relative one inside the memory."""
        return self._session.symlink(target, path)

    def hard_link(self, source: str, new: str) -> Stat:
        """Give a note one more name."""
        return self._session.hard_link(source, new)

    # --- finding ---------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        limit: int = 10,
        mode: Mode = "lexical",
        *,
        tags: Sequence[str] = (),
        under: str = "/",
        author: str = "",
        since: Moment | None = None,
        until: Moment | None = None,
        as_of: Moment | None = None,
    ) -> Results:
        """Notes that match, best first: `.path`, `.score` in [0, 1], `.snippet`.

        `mode` is `lexical` (by words), `semantic` (by what they mean) or `hybrid` (by both). Any text is a valid query.
        `under` is a directory to stay in, `tags` must all be there, `author` wrote it, `since` and `until` are moments
        (`"7d"`, `"2026-03-20"`) when it happened. The list's own `.behind` is how many changes the index had not seen,
        mostly 0: it is more where this process may not write the index; `.embedded` says how many of how many notes are
        embedded, where that is not all. Raises MissingExtra where meaning is asked for and no model is installed.

        `as_of` searches, by words, what there was at a moment, as far as this agent may look back: under the names and
        with the texts of then, what has been deleted since included.
        """
        return self._session.search(
            query, limit, mode, tags=tags, under=under, author=author, since=since, until=until, as_of=as_of
        )

    def semantic(self, query: str, limit: int = 10) -> Results:
        """`search` by what notes mean, whatever their words and language."""
        return self._session.search(query, limit, "semantic")

    def retrieve(self, query: str, limit: int = 10, expand: int = 0) -> Results:
        """`search` by words and meaning; behind the hits what their links lead to, in at most `expand` steps."""
        return self._session.retrieve(query, limit, expand)

    # --- memory ----------------------------------------------------------------------------------

    def agent_memory(self, name: str | None = None) -> AgentMemory:
        """The memory of an agent (default: this one's): `remember` and `recall` within a budget of tokens."""
        session = self._session if name is None else self._kernel.session(name)
        memory: AgentMemory = import_module("avm_builtin.memory.agent").AgentMemory(session)
        return memory

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
        """`agent_memory().recall`: what this agent may see about a subject, at most `max_tokens` tokens of it."""
        return self.agent_memory().recall(
            query, max_tokens, strategy, time_range=time_range, scope=scope, as_of=as_of
        )

    def graph(self, path: str = "/memory", depth: int = 2, format: Format = "mermaid") -> str:
        """`agent_memory().graph`: notes and the links between them, as Mermaid, Graphviz (`dot`) or `json`."""
        return self.agent_memory().graph(path, depth, format)

    # --- metadata --------------------------------------------------------------------------------

    def update_meta(self, path: str, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into a node's metadata (None removes a key) and return all of it."""
        return self._session.update_meta(path, patch)

    def tags(self, path: str | None = None) -> dict[str, int]:
        """How many notes carry each tag: of all that this agent may read, or of one note (then each counts 1)."""
        if path is None:
            return self._session.tag_counts()
        return dict.fromkeys(self._session.read(path).tags, 1)

    def link(self, source: str, target: str, kind: str = "related", weight: float = 1.0) -> None:
        """Link two notes: `peer, parent, citation, derived, related, supersedes` or a kind of your own."""
        self._session.link(source, target, kind, weight)

    def unlink(self, source: str, target: str, kind: str | None = None) -> int:
        """Remove the links between two notes and return how many."""
        return self._session.unlink(source, target, kind)

    def links(self, path: str) -> builtins.list[Link]:
        """A note's links."""
        return self._session.links(path)

    # --- the past --------------------------------------------------------------------------------

    def history(self, path: str, limit: int = 100, *, before: int | None = None) -> builtins.list[Version]:
        """A note's versions that this agent may see, newest first."""
        return self._session.history(path, limit, before=before)

    def as_of(self, path: str, *, version: int | None = None, time: Moment | None = None) -> Node:
        """A note as one of its versions was, or what was at a path at a time.

        `time` is a datetime (local if it has no zone), text such as `2026-03-20` (the end of that day) or `2h` (ago),
        or nanoseconds since the epoch. Raises NotFound, VersionGone.
        """
        return self._session.as_of(path, version=version, time=time)

    def list_as_of(self, path: str, time: Moment) -> Iterator[Entry]:
        """What a directory held at a time."""
        return self._session.list_as_of(path, time)

    def diff(self, path: str, old: int | None = None, new: int | None = None) -> str:
        """A unified diff of two versions, by default the last two."""
        return self._session.diff(path, old, new)

    def blame(self, path: str) -> builtins.list[BlamedLine]:
        """For each line, the version that brought it."""
        return self._session.blame(path)

    def undo(
        self,
        path: str | None = None,
        *,
        agent: str | None = None,
        since: Moment | None = None,
        run: str | None = None,
        steps: int = 1,
        dry_run: bool = False,
    ) -> UndoReport:
        """Take back the last changes of a note, all since a time (below a path, by an agent), or a run.

        `.undone` and `.skipped` tell what was done, and what others have changed since. Raises NotFound, Conflict,
        Denied.
        """
        return self._session.undo(path, agent=agent, since=since, run=run, steps=steps, dry_run=dry_run)

    def trash(self, limit: int = 100, *, before: int | None = None) -> builtins.list[Trashed]:
        """What this agent owned or deleted and can restore, last deleted first, deleted before a journal row."""
        return self._session.trash(limit, before=before)

    def restore(self, path: str, *, to: str | None = None) -> Moved:
        """Bring back what was deleted last at a path, with all that was deleted with it."""
        return self._session.restore(path, to=to)

    def set_ttl(self, path: str, seconds: float | None) -> None:
        """Let a note expire after so many seconds (None: never); then it is in the trash."""
        expires = None if seconds is None else time_module.time_ns() + int(seconds * 1e9)
        self._session.set_expiry(path, expires)

    # --- who may ---------------------------------------------------------------------------------

    def share(self, path: str, agent: str, access: Access | None = "r") -> None:
        """Let another agent read (`r`) or write (`rw`) a note, or all in a directory; None takes it back."""
        self._session.share(path, agent, access)

    def set_mode(self, path: str, mode: int) -> Stat:
        """Set the permission bits."""
        return self._session.set_mode(path, mode)

    def access(self, path: str) -> AccessReport:
        """Who may do what with a path, and by which rule."""
        return self._session.access(path)

    # --- the rest --------------------------------------------------------------------------------

    def provide(
        self,
        pattern: str,
        handler: str,
        config: Mapping[str, Any] | None = None,
        ttl: float | None = None,
        timeout: float = PROVIDER_SECONDS,
    ) -> None:
        """Mount a handler at a path pattern; `ttl` and `timeout` in seconds, as in `config.yaml`."""
        self._kernel.provide(pattern, handler, config, ttl, timeout)

    def stats(self) -> Stats:
        """What this agent can see of the store, in numbers."""
        return self._session.stats()

    @property
    def agent(self) -> str:
        """Who this is."""
        return self._session.principal.agent

    @property
    def session(self) -> Session:
        """The session underneath, for front ends."""
        return self._session

    def close(self) -> None:
        """Release the store."""
        self._kernel.close()

    def __enter__(self) -> AVM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"AVM(agent={self.agent!r}, db={self._kernel.location!r})"


def _rule(given: Mapping[str, Any]) -> ProviderRule:
    unknown = set(given) - {"pattern", "handler", "config", "ttl", "timeout"}
    if unknown or "pattern" not in given or "handler" not in given:
        raise Invalid(
            f"a provider has 'pattern', 'handler' and optionally 'config', 'ttl' and 'timeout', not {dict(given)!r}"
        )
    config = dict(given.get("config") or {})
    timeout = given.get("timeout", PROVIDER_SECONDS)
    return ProviderRule(given["pattern"], given["handler"], config, given.get("ttl"), timeout)
