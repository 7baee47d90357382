"""The plan of a consolidation: from what there is, and without a change, all that is to be done, in order.

First what is doubled is merged, then what is left is summed up, then it fades. What one step does to a note's
metadata the next one counts on, so that a second run finds nothing more to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from avm_builtin.memory.consolidation.actions import Action, Archive, Fade, Kind, Merge, Summarise
from avm_builtin.memory.consolidation.archive import Places
from avm_builtin.memory.consolidation.decaying import fading, has_faded
from avm_builtin.memory.consolidation.merging import doubled, taken_over
from avm_builtin.memory.consolidation.notes import Note, Ties, select, ties_of
from avm_builtin.memory.consolidation.summing_up import draft, groups
from avm_builtin.memory.recalling import importance_of
from avm_builtin.memory.remembering import file_name
from vfs_core.errors import Denied, NotFound
from vfs_core.moments import DAY_NS
from vfs_core.path import join
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.session import Session

KINDS: tuple[Kind, ...] = ("merge", "summarise", "decay")


def make_plan(
    session: Session,
    under: str,
    *,
    older_than_ns: int,
    now_ns: int,
    only: Collection[Kind] = KINDS,
    looked_at: Callable[[], None] = lambda: None,
) -> list[Action]:
    """What is to be done at and below a path. `looked_at` is called for each note that is read."""
    return list(_Planner(session, under, older_than_ns, now_ns).actions(only, looked_at))


class _Planner:
    """Plans; `_notes` are as they will be once what is planned so far has been done."""

    def __init__(self, session: Session, under: str, older_than_ns: int, now_ns: int) -> None:
        self._session = session
        self._older_than_ns = older_than_ns
        self._places = Places(session)
        self._notes = {note.path: note for note in select(session, under, now_ns)}
        self._ties: dict[str, Ties] = {}

    def actions(self, only: Collection[Kind], looked_at: Callable[[], None]) -> Iterator[Action]:
        if "merge" in only:
            yield from self._merges(looked_at)
        if "summarise" in only:
            yield from self._summaries()
        if "decay" in only:
            yield from self._decays()

    def _old(self) -> list[Note]:
        return [note for note in self._notes.values() if note.age_ns >= self._older_than_ns]

    def _ties_of(self, note: Note) -> Ties:
        if note.path not in self._ties:
            self._ties[note.path] = ties_of(self._session, note)
        return self._ties[note.path]

    def _merges(self, looked_at: Callable[[], None]) -> Iterator[Action]:
        found = list(doubled(self._session, list(self._notes.values()), self._older_than_ns, looked_at))
        for each in found:
            older, kept = each.older, self._notes[each.kept.path]
            target = self._places.place(older)
            patch = {"superseded_by": kept.path, "archived_from": older.path}
            kept_patch = taken_over(kept, older)
            yield Merge(older, patch, kept, kept_patch, target, each.similarity)
            self._notes[kept.path] = kept.patched(kept_patch)
            del self._notes[older.path]

    def _summaries(self) -> Iterator[Action]:
        old = [note for note in self._old() if not note.was_made and not note.meta.get("superseded_by")]
        waiting = [note for note in old if not self._ties_of(note).summed_up]
        given: set[str] = set()
        summariser = None
        for topic, sources in groups(waiting):
            summariser = summariser or self._session.kernel.summariser()
            try:
                made = draft(self._session, summariser, topic, sources)
            except (NotFound, Denied):
                continue  # a source has gone since it was found
            if made is None:
                continue
            target = self._free_name(sources[0].readership[0], made.title, given)
            about = f"#{topic.value}" if topic.key == "tags" else f"{topic.key} {topic.value}"
            yield Summarise(tuple(sources), target, made, f"{len(sources)} notes about {about}")
            for source in sources:
                self._notes[source.path] = source.patched({"summarised_in": target})

    def _free_name(self, directory: str, title: str, given: set[str]) -> str:
        number = 1
        while True:
            path = join(directory, f"{file_name(title)}{'' if number == 1 else f'_{number}'}.md")
            if path not in given and self._session.judge.store.find(path).stat is None:
                given.add(path)
                return path
            number += 1

    def _decays(self) -> Iterator[Action]:
        for note in self._notes.values():
            if note.age_ns < self._older_than_ns and "decay" not in note.meta:
                continue
            patch = fading(note, self._ties_of(note))
            before, after = importance_of(note.meta), importance_of({**note.meta, **patch})
            if note.age_ns >= self._older_than_ns and has_faded(note, patch):
                marks: dict[str, JSON] = {**patch, "archived_from": note.path}
                reason = f"importance {after:g}, unchanged for {note.age_ns // DAY_NS:,} days"
                yield Archive(note, marks, self._places.place(note), reason)
            elif patch:
                yield Fade(note, patch, before, after)
