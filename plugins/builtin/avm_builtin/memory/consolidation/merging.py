"""Merging: of notes that say nearly the same the newest stays, and the others are archived behind it.

By the rule by which `remember` reports what a note resembles, among notes of one directory and one readership. Notes
that tell of different times (`time` in their metadata) are different events, whatever they say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from avm_builtin.memory.consolidation.decaying import given_importance
from avm_builtin.memory.consolidation.notes import Note, text_of
from avm_builtin.memory.resemblance import gather, shingles
from vfs_core.errors import Denied, NotFound
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.session import Session


class Doubled(NamedTuple):
    """An older note and the newer one that says nearly the same; how nearly, in [0, 1]."""

    kept: Note
    older: Note
    similarity: float


def doubled(
    session: Session, notes: Sequence[Note], older_than_ns: int, looked_at: Callable[[], None]
) -> Iterator[Doubled]:
    """Notes that another one stands for; each once, and none that stands for one itself.

    `looked_at` is called for each note that is read. One that is not old enough may be kept, and is not taken away.
    """
    groups: dict[tuple[str, int, int, str], list[Note]] = {}
    for note in notes:
        meta = note.meta
        if not note.was_made and not meta.get("superseded_by"):
            groups.setdefault((*note.readership, str(meta.get("time"))), []).append(note)
        else:
            looked_at()
    for group in groups.values():
        newest_first = sorted(group, key=lambda note: (note.age_ns, note.path))
        texts = []
        for note in newest_first:
            looked_at()
            try:
                texts.append(shingles(text_of(session, note)) if len(group) > 1 else frozenset())
            except (NotFound, Denied):  # gone since it was found
                texts.append(frozenset())
        nearest = gather(texts, [note.age_ns < older_than_ns for note in newest_first])
        for note, found in zip(newest_first, nearest, strict=True):
            if found is not None:
                yield Doubled(newest_first[found.number], note, found.similarity)


def taken_over(kept: Note, older: Note) -> dict[str, JSON]:
    """What the kept note takes over of the other's metadata: the higher importance, and tags."""
    meta, other = kept.meta, older.meta
    patch: dict[str, JSON] = {}
    highest = given_importance(other)
    if highest > given_importance(meta):
        patch |= {"importance": highest, "decay": None}
    tags = sorted({*meta.get("tags", ()), *other.get("tags", ())})
    if tags != meta.get("tags", []):
        patch["tags"] = tags
    return patch
