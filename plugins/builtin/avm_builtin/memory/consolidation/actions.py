"""What a consolidation does to a note, as data that a person can read, and that is carried out in one transaction.

Each knows the notes as the plan found them, and is refused with Conflict where they are not so any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from avm_builtin.memory.consolidation.notes import Note
from avm_builtin.memory.consolidation.summing_up import Draft
from vfs_core.errors import Conflict, Denied
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.session import Session
    from vfs_core.storage import Transaction

Kind: TypeAlias = Literal["merge", "summarise", "decay"]
READABLE_BY_ALL = 0o444


@dataclass(frozen=True)
class Fade:
    """A note's importance falls, or is again what it was."""

    kind: ClassVar[Kind] = "decay"
    note: Note
    patch: Mapping[str, JSON]
    before: float
    after: float

    @property
    def verb(self) -> str:
        """One word for what happens."""
        return "fade" if self.after < self.before else "recover"

    @property
    def path(self) -> str:
        """The note."""
        return self.note.path

    target: ClassVar[None] = None

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        return f"importance {self.before:g} -> {self.after:g}"

    def carry_out(self, session: Session, tx: Transaction) -> None:
        """Record the importance."""
        _refuse_changed(tx, self.note)
        tx.update_meta(self.path, self.patch)


@dataclass(frozen=True)
class Archive:
    """A note that has faded goes to the archive."""

    kind: ClassVar[Kind] = "decay"
    verb: ClassVar[str] = "archive"
    note: Note
    patch: Mapping[str, JSON]
    target: str
    reason: str

    @property
    def path(self) -> str:
        """The note."""
        return self.note.path

    def carry_out(self, session: Session, tx: Transaction) -> None:
        """Mark and move it."""
        _refuse_changed(tx, self.note)
        tx.update_meta(self.path, self.patch)
        _move(session, tx, self.note, self.target)


@dataclass(frozen=True)
class Merge:
    """A note goes to the archive behind a newer one that says nearly the same."""

    kind: ClassVar[Kind] = "merge"
    verb: ClassVar[str] = "merge"
    note: Note
    patch: Mapping[str, JSON]
    kept: Note
    kept_patch: Mapping[str, JSON]
    target: str
    similarity: float

    @property
    def path(self) -> str:
        """The older note."""
        return self.note.path

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        return f"{self.similarity:.0%} of it is in {self.kept.path}"

    def carry_out(self, session: Session, tx: Transaction) -> None:
        """Let the newer one supersede it, and move it."""
        _refuse_changed(tx, self.note)
        _refuse_changed(tx, self.kept)
        if self.kept_patch:
            tx.update_meta(self.kept.path, self.kept_patch)
        tx.link(self.kept.path, self.path, "supersedes")
        tx.update_meta(self.path, self.patch)
        _move(session, tx, self.note, self.target)


@dataclass(frozen=True)
class Summarise:
    """Notes about the same get one that sums them up."""

    kind: ClassVar[Kind] = "summarise"
    verb: ClassVar[str] = "summarise"
    sources: tuple[Note, ...]
    target: str
    draft: Draft
    reason: str

    @property
    def path(self) -> str:
        """Where the sources are."""
        return self.sources[0].readership[0]

    def carry_out(self, session: Session, tx: Transaction) -> None:
        """Write the summary for those who may read the sources, and link them."""
        for source in self.sources:
            _refuse_changed(tx, source)
        session.writable_path(self.target)
        tx.write(self.target, self.draft.text.encode(), patch=self.draft.meta, base_version=0)
        _narrow(session, tx, self.target, self.sources[0])
        for source in self.sources:
            tx.link(self.target, source.path, "derived")
            tx.update_meta(source.path, {"summarised_in": self.target})


Action: TypeAlias = Fade | Archive | Merge | Summarise


def _refuse_changed(tx: Transaction, note: Note) -> None:
    """Refuse to touch what is not as the plan found it."""
    found, known = tx.find(note.path), note.stat
    stat = found.stat
    if (
        stat is None
        or (stat.id, stat.version, stat.expires_ns) != (known.id, known.version, known.expires_ns)
        or (found.within, found.own) != (note.found.within, note.found.own)
        or found.meta_json != note.meta_json
    ):
        raise Conflict(f"{note.path} has been changed meanwhile")


def _move(session: Session, tx: Transaction, note: Note, target: str) -> None:
    """Move a note to where exactly the same agents may read it. Raises Denied where others may."""
    session.check_moved(tx.rename(note.path, target))
    if tx.find(target).within != note.found.within:
        raise Denied(f"{note.path}: others may enter the archive, {target}")


def _narrow(session: Session, tx: Transaction, path: str, source: Note) -> None:
    """Let nobody read a new note who may not read a source. Raises Denied where that cannot be said by its mode."""
    made = tx.find(path)
    store = session.judge.store
    mine, theirs = store.node_class(made.own), store.node_class(source.found.own)
    if made.within != source.found.within:
        raise Denied(f"{path}: others may read there than its sources")
    if theirs.mode & READABLE_BY_ALL == READABLE_BY_ALL:
        return
    if (mine.owner, mine.group) != (theirs.owner, theirs.group):
        raise Denied(f"{path}: its sources are {theirs.owner}'s, and not readable by all")
    if mine.mode & ~theirs.mode:
        tx.set_mode(path, mine.mode & theirs.mode)
