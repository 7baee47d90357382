"""Undo: journal rows taken back, newest first, in one transaction that is journalled like any other.

A row is taken back only if what it left is still there: whatever somebody else has changed since stays as it is
and is reported. What is done carries the number of the row that it takes back, so a second undo goes on to the
row before instead of undoing the first.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import hindsight, journal
from vfs_core.errors import Conflict, Denied, Invalid, NotFound, StoreReplaced, Unsupported, VfsError
from vfs_core.hindsight import View
from vfs_core.path import is_within
from vfs_core.reactor import by_reactor
from vfs_core.storage import Operation, Transaction
from vfs_core.types import JSON, Change

if TYPE_CHECKING:
    from vfs_core.session import Session

_PAGE = 500
_RUN = re.compile(r"[0-9]{1,18}-[0-9a-f]{6}")
_INERT = frozenset({journal.INIT, journal.USER, journal.SUDO})


class Undone(NamedTuple):
    """A journal row that was taken back, or (with a reason) was not."""

    sequence: int
    operation: str
    path: str
    agent: str
    time_ns: int
    reason: str = ""
    """Why not; empty if it was."""


class UndoReport(NamedTuple):
    """What an undo did, in the order in which it did it."""

    undone: list[Undone]
    skipped: list[Undone]


class _DryRun(Exception):
    """Ends a transaction whose effects were only to be seen."""


def undo_last(session: Session, path: str, steps: int, *, dry_run: bool = False) -> UndoReport:
    """Take back the last changes of one node; a deleted one comes back. Raises NotFound, Conflict, Denied."""
    view = View(session.judge, session.principal)
    node = _node_at(view, path)
    rows: list[Change] = []
    for row in _standing(view, lambda row: row.node == node, node=node):
        rows.append(row)
        if len(rows) == steps:
            break
    if not rows:
        raise NotFound(f"{path}: nothing is left to undo")
    return _undo(session, view, iter(rows), strict=True, dry_run=dry_run)


def undo_since(
    session: Session, path: str | None, agent: str | None, time_ns: int, *, dry_run: bool = False
) -> UndoReport:
    """Take back what was changed after a time: by an agent, below a path, or both."""
    view = View(session.judge, session.principal)
    start = view.past.sequence_at(time_ns)

    def concerned(row: Change) -> bool:
        if row.operation in _INERT or (agent is not None and row.agent != agent):
            return False
        return path is None or _is_below(view, row, path)

    rows = _standing(view, concerned, since=start)
    return _undo(session, view, rows, strict=False, dry_run=dry_run)


def new_run(session: Session) -> str:
    """A name for a run that begins now: the row that the journal stands at, and something random."""
    return f"{session.store.head().sequence}-{secrets.token_hex(3)}"


def undo_run(session: Session, run: str, *, dry_run: bool = False) -> UndoReport:
    """Take back what a run did. Raises NotFound where there is no such run, or nothing of it is left to undo."""
    if not _RUN.fullmatch(run):
        raise Invalid(f"{run!r} is not the name of a run, such as 4711-9f2c1a")
    view = View(session.judge, session.principal)
    rows = _standing(
        view, lambda row: (row.details or {}).get(journal.RUN) == run, since=int(run.partition("-")[0])
    )
    report = _undo(session, view, rows, strict=False, dry_run=dry_run)
    if not report.undone and not report.skipped:
        raise NotFound(f"nothing is left to undo of a run {run}")
    return report


def _node_at(view: View, path: str) -> int:
    """The node at a path, or the one that was deleted there last."""
    found = view.store.find(path)
    try:
        view.judge.check(Operation.STAT, found)
    except NotFound:
        return hindsight.find_trashed(view, path).stat.id
    assert found.stat is not None
    return found.stat.id


def _standing(
    view: View, wanted: Callable[[Change], bool], *, since: int = 0, node: int | None = None
) -> Iterator[Change]:
    """Rows that are neither undone nor an undoing, newest first; without those that only answer others."""
    undone: set[int] = set()
    for row in view.past.rows(since=since, node=node):
        taken_back = (row.details or {}).get(journal.UNDOES)
        if taken_back is not None:
            undone.add(taken_back)
        elif row.sequence in undone or row.operation in _INERT or by_reactor(row):
            continue
        elif wanted(row):
            yield row


def _is_below(view: View, row: Change, path: str) -> bool:
    if is_within(row.path, path) or (row.old_path is not None and is_within(row.old_path, path)):
        return True
    return any(is_within(found.path, path) for found in view.store.nodes([row.node]))


def _undo(session: Session, view: View, rows: Iterator[Change], *, strict: bool, dry_run: bool) -> UndoReport:
    report = UndoReport([], [])
    chosen = [row for row in rows if hindsight.known_node(view, row.node, Operation.STAT) is not None]
    try:
        with session.transaction() as transaction:
            if session.judge.store is not view.store:
                raise StoreReplaced("the store was restored from a backup meanwhile; ask again")
            undoing = _Undoing(session, view, transaction)
            for row in chosen:
                try:
                    transaction.undoing = row.sequence
                    undoing.take_back(row)
                except VfsError as error:
                    if strict:
                        raise
                    report.skipped.append(_described(row, str(error)))
                else:
                    report.undone.append(_described(row))
            transaction.undoing = None
            if dry_run:
                raise _DryRun
    except _DryRun:
        return report
    return report


def _described(row: Change, reason: str = "") -> Undone:
    return Undone(row.sequence, row.operation, row.path, row.agent, row.time_ns, reason)


class _Undoing:
    """Takes rows back in one transaction, and knows what it has left behind."""

    def __init__(self, session: Session, view: View, transaction: Transaction) -> None:
        self._session = session
        self._view = view
        self._tx = transaction
        self._contents: dict[int, int] = {}
        """The version whose content a node has, where it is not the last."""

    def take_back(self, row: Change) -> None:
        """Undo one row. Raises Conflict where what it left is not there any more, Denied, Unsupported."""
        details = row.details or {}
        match row.operation:
            case journal.WRITE | journal.APPEND | journal.TRUNCATE:
                self._content(row, details)
            case journal.META:
                self._meta(row, self._path(row), details)
            case journal.MKDIR:
                self._tx.delete(self._path(row))
            case journal.DELETE:
                self._restore(row)
            case journal.RESTORE | journal.SYMLINK | journal.MKNOD:
                self._tx.delete(self._path(row))
            case journal.HARD_LINK:
                self._hard_link(row)
            case journal.RENAME:
                self._rename(row)
            case journal.MODE:
                self._mode(row, details)
            case journal.SHARE:
                self._tx.share(self._path(row), details["agent"], details.get(journal.BEFORE))
            case journal.LINK | journal.UNLINK:
                self._link(row, details)
            case journal.CHOWN | journal.TIMES:
                self._numbers(row, details)
            case journal.EXPIRY:
                self._tx.set_expiry(self._path(row), details.get(journal.BEFORE))
            case _:
                raise Unsupported(f"{row.path}: '{row.operation}' cannot be undone")

    def _path(self, row: Change) -> str:
        """Where the node is now."""
        paths = self._known_names(row.node)
        if not paths:
            raise Conflict(f"{row.path} has been deleted since")
        return row.path if row.path in paths else paths[0]

    def _known_names(self, node: int) -> list[str]:
        """The names of a node that the agent may know of."""
        judge = self._session.judge
        return [path for path in self._tx.names(node) if judge.allows(Operation.STAT, self._tx.find(path))]

    def _content(self, row: Change, details: Mapping[str, JSON]) -> None:
        path, store = self._path(row), self._view.store
        stat = self._tx.find(path).stat
        held = self._contents.get(row.node) or (stat.version if stat else 0)
        if held != row.version and self._hash(row.node, held) != row.content_hash:
            raise Conflict(f"{path} has been changed since version {row.version}")
        if row.version == 1:
            self._tx.delete(path)
            return
        known = hindsight.known_node(self._view, row.node)
        kept = store.versions(row.node, row.version, 1)
        if known is None or not kept or not hindsight.may_see(self._view, known, kept[0]):
            raise Denied(f"{path}: the version before {row.version} is not yours to see")
        patch = details.get(journal.META_BEFORE)
        self._tx.write(path, hindsight.content(self._view, known, kept[0]), patch=patch)
        self._contents[row.node] = kept[0].version

    def _hash(self, node: int, version: int) -> bytes | None:
        kept = self._view.store.versions(node, version + 1, 1)
        return kept[0].content_hash if kept and kept[0].version == version else None

    def _meta(self, row: Change, path: str, details: Mapping[str, JSON]) -> None:
        patch: Mapping[str, JSON] = details.get(journal.META_BEFORE, {})
        left = json.loads(self._view.past.meta_at(row.node, row.sequence))
        now = json.loads(self._tx.find(path).meta_json)
        changed = [key for key in patch if left.get(key) != now.get(key)]
        if changed:
            raise Conflict(f"{path}: {', '.join(sorted(changed))} has been changed since")
        self._tx.update_meta(path, patch)

    def _restore(self, row: Change) -> None:
        trashed = self._tx.trashed(row.node)
        if trashed is None:
            names = self._known_names(row.node)
            if names and row.path not in names and not self._came_back(row):
                self._tx.hard_link(names[0], row.path)  # it was one name of several
            if names:
                return  # or it came back with what it was deleted with
            raise NotFound(f"{row.path} is not kept any more")
        if not hindsight.may_restore(self._view, trashed):
            raise NotFound(f"{row.path} is not in your trash")
        self._session.check_moved(self._tx.restore(row.node))

    def _came_back(self, row: Change) -> bool:
        later = self._view.past.changes(since=row.sequence, node=row.node)
        return any(each.operation == journal.RESTORE for each in later)

    def _rename(self, row: Change) -> None:
        if row.old_path is None or row.path not in self._tx.names(row.node):
            raise Conflict(f"{row.path} has been moved since")
        self._session.check_moved(self._tx.rename(row.path, row.old_path))

    def _hard_link(self, row: Change) -> None:
        if row.path not in self._tx.names(row.node):
            raise Conflict(f"{row.path} has been moved or deleted since")
        if len(self._tx.names(row.node)) == 1:
            raise Conflict(f"{row.path} is the only name left of what it was linked to")
        self._tx.delete(row.path)

    def _numbers(self, row: Change, details: Mapping[str, JSON]) -> None:
        """Owner's and group's numbers, or times."""
        path = self._path(row)
        stat, before = self._tx.find(path).stat, details.get(journal.BEFORE, {})
        if stat is None or not before or any(getattr(stat, key) != details[key] for key in before):
            raise Conflict(f"{path} has been changed since")
        if row.operation == journal.CHOWN:
            self._tx.set_posix_owner(path, before["uid"], before["gid"])
        else:
            self._tx.set_times(path, before["accessed_ns"], before["modified_ns"])

    def _mode(self, row: Change, details: Mapping[str, JSON]) -> None:
        path = self._path(row)
        stat = self._tx.find(path).stat
        if journal.BEFORE not in details or stat is None or stat.mode != details["mode"]:
            raise Conflict(f"{path}: its mode has been changed since")
        self._tx.set_mode(path, details[journal.BEFORE])

    def _link(self, row: Change, details: Mapping[str, JSON]) -> None:
        path, kind = self._path(row), details["kind"]
        targets = self._known_names(details["target"])
        if not targets:
            raise Conflict(f"{path}: what it was linked to has been deleted since")
        if row.operation == journal.UNLINK:
            self._tx.link(path, targets[0], kind, details.get("weight", 1.0))
        elif journal.BEFORE in details:
            self._tx.link(path, targets[0], kind, details[journal.BEFORE])
        else:
            self._tx.unlink(path, targets[0], kind)
