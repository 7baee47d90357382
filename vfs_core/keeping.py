"""Proof and care through a session: backups, putting them back, and the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import hindsight, journal
from vfs_core.errors import Denied, Invalid, NotFound
from vfs_core.hindsight import View
from vfs_core.index_check import index_errors
from vfs_core.moments import Moment, as_ns
from vfs_core.path import is_within
from vfs_core.storage import Head
from vfs_core.types import Change

if TYPE_CHECKING:
    from vfs_core.session import Session

BACKUPS = "backups"
"""The directory beside the store that backups go into."""
_PAGE = 500


class Backup(NamedTuple):
    """A backup that was made: where, and up to which journal row."""

    path: Path
    head: Head


def require_keeper(session: Session, what: str) -> None:
    """Raise Denied unless the principal owns the store's file or is `admin`. A key never suffices."""
    principal = session.principal
    if principal.key is not None:
        raise Denied(f"{principal.agent} may not {what} by a key")
    if not (principal.owns_store and principal.agent == principal.actor):
        session.judge.require("admin", what)


def backup(session: Session, target: str | Path | None, step: Callable[[int, int], None] | None) -> Backup:
    """Make a backup, verify it and remember where it is."""
    require_keeper(session, "make backups, which hold the notes of everybody")
    if not session.kernel.has_store:
        raise NotFound(f"there is no store at {session.kernel.location} yet")
    store = session.store
    path = _default_target(Path(store.location)) if target is None else Path(target).absolute()
    head = store.backup(path, step)
    if store.writable:
        with session.transaction() as transaction:
            transaction.record_copy(journal.BACKUP, str(path), head.sequence)
    return Backup(path, head)


def _default_target(store: Path) -> Path:
    directory = store.parent / BACKUPS
    directory.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number, target = 1, directory / f"{store.stem}-{stamp}.db"
    while target.exists():
        number += 1
        target = directory / f"{store.stem}-{stamp}-{number}.db"
    return target


def restore_backup(session: Session, source: str | Path) -> Backup:
    """Back up what is there, then put `source` in its place."""
    require_keeper(session, "restore backups")
    kernel = session.kernel
    if not kernel.has_store:
        raise NotFound(f"there is no store at {kernel.location} yet")
    store = kernel.writable_store()
    path = _default_target(Path(store.location))
    return Backup(path, store.restore_backup(Path(source).absolute(), session.origin, path))


def record_export(session: Session, location: str, sequence: int) -> None:
    """Remember an export, where this process can."""
    if session.kernel.has_store and session.store.writable:
        with session.transaction() as transaction:
            transaction.record_copy(journal.EXPORT, str(Path(location).absolute()), sequence)


def mend(session: Session) -> dict[str, int]:
    """Mend what is derived: in the store, and by making the index anew where it has not what the store has."""
    require_keeper(session, "mend the store")
    kernel = session.kernel
    if not kernel.has_store:
        return {}
    mended = kernel.writable_store().mend(session.origin)
    if mended:
        kernel.drop_caches()
    for runner in kernel.derived():
        wrong = index_errors(runner)
        if wrong:
            runner.rebuild()
            name = "index" if runner is kernel.search() else "index of meanings"
            mended[f"notes in the {name}"] = len(wrong.missing | wrong.surplus)
    return mended


def audit(
    session: Session,
    under: str | None,
    agent: str | None,
    since: Moment | None,
    before: int | None,
    limit: int,
) -> list[Change]:
    """Rows of nodes that the agent may look back at, from when it may; paths as it may know them."""
    if limit < 1:
        raise Invalid(f"limit is at least 1, not {limit}")
    view = View(session.judge, session.principal)
    past = view.past
    start = 0 if since is None else past.sequence_at(as_ns(since) - 1)
    found: list[Change] = []
    for row in past.rows(before, since=start, agent=agent):
        shown = _shown(view, row)
        if shown is not None and (under is None or is_within(shown.path, under)):
            found.append(shown)
            if len(found) == limit:
                break
    return found


def _shown(view: View, row: Change) -> Change | None:
    """A row as the agent may see it."""
    if not row.node:
        own = view.agent in (row.agent, row.actor) or view.principal.owns_store
        return row if own else None
    known = hindsight.known_node(view, row.node)
    if known is None or not (known.owned or row.sequence > known.floor):
        return None
    if row.operation in (journal.LINK, journal.UNLINK):
        target = (row.details or {}).get("target")
        if target is not None and hindsight.known_node(view, target) is None:
            return None  # that something was linked tells that it is there
    if known.owned:
        return row
    return row._replace(path=known.path, old_path=None, details=None)
