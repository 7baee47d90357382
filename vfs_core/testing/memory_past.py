"""The past of a `MemoryStore`, which keeps every state that was ever committed: an oracle for time travel."""

# ruff: noqa: D102  # the contract (`vfs_core.past`) documents its methods

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from vfs_core import journal
from vfs_core.meta import EMPTY
from vfs_core.past import NameThen, Past, Trashed
from vfs_core.path import join, split
from vfs_core.testing.memory_state import State
from vfs_core.types import Change, Kind, Stat, Version


class MemoryPast(Past):
    """All states of one store, by the last sequence of each."""

    def __init__(self, present: Callable[[], State]) -> None:
        self._present = present
        self._states: list[State] = []

    def keep(self, state: State) -> None:
        """Remember a state that has been committed."""
        self._states.append(state)

    def _at(self, sequence: int) -> State:
        """The state after the transaction that `sequence` belongs to, if that has ended, else the one before."""
        ends = [len(state.journal) for state in self._states]
        index = bisect_right(ends, sequence)
        return self._states[index - 1] if index else State()

    def sequence_at(self, time_ns: int) -> int:
        rows = self._present().journal
        return max((row.change.sequence for row in rows if row.change.time_ns <= time_ns), default=0)

    def name_at(self, directory: int, name: str, sequence: int) -> NameThen | None:
        found = [each for each in self.names_at(directory, sequence) if each.name == name]
        return found[0] if found else None

    def names_at(self, directory: int, sequence: int, after: str = "", limit: int = 1000) -> list[NameThen]:
        state, names = self._at(sequence), []
        for above in state.names_of(directory):
            for path, node in state.names.items():
                parent, name = split(path)
                if parent == above and name > after and path != "/":
                    since = state.since[path]
                    names.append(NameThen(name, node, since, self._until(directory, name, since)))
        return sorted(names)[:limit]

    def _until(self, directory: int, name: str, since: int) -> int | None:
        """The row that took away a name that was given at `since`."""
        for state in self._states:
            if len(state.journal) < since:
                continue
            paths = [join(above, name) for above in state.names_of(directory)]
            if not any(state.since.get(path) == since for path in paths):
                taken = [
                    row.change.sequence
                    for row in state.journal
                    if row.change.sequence > since
                    and (split(row.change.old_path or row.change.path)[1] == name)
                    and row.change.operation in ("delete", "rename")
                ]
                return taken[0] if taken else None
        return None

    def version_at(self, node: int, sequence: int) -> Version | None:
        mine = [
            version
            for (id, _), (version, _) in self._present().versions.items()
            if id == node and version.sequence <= sequence
        ]
        return max(mine, key=lambda version: version.version, default=None)

    def superseded(self, node: int, version: int) -> int | None:
        following = self._present().versions.get((node, version + 1))
        return None if following is None else following[0].sequence

    def meta_at(self, node: int, sequence: int) -> str:
        found = self._at(sequence).nodes.get(node)
        return EMPTY if found is None else found.meta_json

    def stat(self, node: int) -> Stat | None:
        found = self._present().nodes.get(node)
        return None if found is None else found.stat()

    def widened(self, node: int, path: str | None) -> int:
        state = self._present()
        found = [state.nodes[node].widened] if node in state.nodes else []
        while path is not None:
            at = state.at(path)
            if at is not None and at.kind is Kind.DIRECTORY:
                found.append(at.widened)
            if path == "/":
                break
            path = split(path)[0]
        return max(found, default=0)

    def purged_ns(self) -> int:
        rows = [row.change for row in self._present().journal if row.change.operation == journal.PURGE]
        return (rows[-1] if rows else self._present().journal[0].change).time_ns

    def trash(self, before: int | None = None, limit: int = 100, *, node: int | None = None) -> list[Trashed]:
        state = self._present()
        found = [state.trashed(id) for id in state.nodes if node in (None, id)]
        chosen = [each for each in found if each and (before is None or each.sequence < before)]
        return sorted(chosen, key=lambda each: -each.sequence)[:limit]

    def deleted_at(self, path: str) -> list[Trashed]:
        state = self._present()
        found = [state.deleted(id) for id in state.nodes]
        return sorted((each for each in found if each and each.path == path), key=lambda each: -each.sequence)

    def changes(
        self,
        before: int | None = None,
        limit: int = 1000,
        *,
        since: int = 0,
        node: int | None = None,
        agent: str | None = None,
    ) -> list[Change]:
        rows = [row.change for row in self._present().journal[since:]]
        chosen = [
            row
            for row in rows
            if (before is None or row.sequence < before)
            and node in (None, row.node)
            and agent in (None, row.agent)
        ]
        return chosen[::-1][:limit]
