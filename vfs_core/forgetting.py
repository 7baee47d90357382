"""Forgetting through a session: erase, scrub, throw derived data away, and look whether anything is left.

What cannot be reached is named: backups and exports made while a note existed. Looking is done on the raw bytes of
every file, by another process: to open and close a database file in a process that has it open in SQLite would drop
its locks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import hindsight, journal, keeping
from vfs_core.errors import (
    Denied,
    NoSpace,
    NotFound,
    NotOwner,
    ReadOnly,
    StoreBusy,
    StoreError,
    StoreReplaced,
)
from vfs_core.hindsight import View
from vfs_core.past import Trashed
from vfs_core.path import MEMORY, is_within, split
from vfs_core.semantic import files_of_all, remove_files
from vfs_core.storage import Copy, Operation, Transaction, side_base
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.follower import Follower, Runner
    from vfs_core.session import Session

_SHORTEST = 6
"""Bytes of the shortest text that is looked for: shorter ones stand everywhere by chance."""
_MOST_NEEDLES = 10_000
_PAGE = 500
_WORD = re.compile(r"[^\W_]{2,}")
_SIGNS = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+")
_BY_ID = re.compile(rf"{MEMORY}/@([0-9]{{1,18}})")


class Trace(NamedTuple):
    """A text that still stands in a file."""

    file: str
    text: str
    unread: bool = False
    """The file could not be searched; `text` says why."""


class Forgotten(NamedTuple):
    """What was forgotten, and what could not be."""

    nodes: int
    rows: int
    """Journal rows that were redacted."""
    scrubbed: bool
    """Whether index, free space and WAL are clean; if not, see `why`, and scrub again later."""
    copies: tuple[Copy, ...]
    """Backups and exports made while it existed, which may hold it."""
    texts: tuple[str, ...]
    """What `traces` should look for to prove it."""
    why: str = ""
    """What kept it from being scrubbed."""


def forget(session: Session, path: str) -> Forgotten:
    """Forget what is at a path (or was deleted as `@id`), and what was deleted there.

    Raises NotFound, NotOwner, Denied.
    """
    view = View(session.judge, session.principal)
    agent, elevated = view.agent, view.judge.is_elevated()
    known = _deleted(view, path)
    earlier = [each for each in known if elevated or each.stat.owner == agent]
    expired = _expired(view, path)
    texts: list[str] = []
    _collect(session, view, path, [*(each.stat.id for each in earlier), *expired], texts)
    linked = _linked(session, path)

    def approve(trashed: Trashed) -> None:
        session.judge.check_ceiling(Operation.DELETE, trashed.path)
        session.judge.require("delete", "forget")
        if trashed.stat.owner != agent and not elevated:
            raise NotOwner(f"{trashed.path} is {trashed.stat.owner}'s, who alone may have it forgotten")

    with session.transaction() as transaction:
        if session.judge.store is not view.store:
            raise StoreReplaced("the store was restored from a backup meanwhile; ask again")
        present = transaction.find(path).stat
        wanted = {each.stat.id for each in earlier}
        wanted |= {
            node for node in expired if transaction.trashed(node) is not None
        }  # since it was come upon
        if present is not None or not (known or wanted):
            for each in linked:
                _remove_other_names(transaction, each, path)
            transaction.delete(path, recursive=True)  # judged; NotFound in the words of an absent note
            assert present is not None
            wanted.add(present.id)
        elif not wanted:
            approve(known[0])
        rows = sum(transaction.forget(node, approve) for node in sorted(wanted))
    clean, why = False, "a program that reads the store kept its free space from being cleaned"
    try:
        clean = scrub(session)
    except (ReadOnly, NoSpace, StoreBusy) as error:  # it is erased, so this is no failure to forget
        why = str(error)
    copies = tuple(each for each in session.store.copies() if each.sequence >= min(wanted))
    return Forgotten(len(wanted), rows, clean, copies, tuple(dict.fromkeys(texts)), "" if clean else why)


def _linked(session: Session, path: str) -> list[int]:
    """The nodes at and below a path that have more than one name."""
    try:
        found_below = list(session.walk(path, Operation.STAT))
    except NotFound:
        return []
    return [
        found.stat.id
        for found in found_below
        if found.stat is not None and found.stat.links > 1 and not found.stat.is_directory
    ]


def _remove_other_names(transaction: Transaction, node: int, path: str) -> None:
    """Take away the names of a node that are not at or below a path: what has a name is not forgotten."""
    for name in transaction.names(node):
        if not is_within(name, path):
            try:
                transaction.delete(name)
            except (NotFound, Denied):
                raise NotOwner(f"{path} has another name, where you may not remove it") from None


def scrub(session: Session) -> bool:
    """Clean indexes, free space and WAL of what has been erased, and drop what is cached.

    Vectors of models that are not in use here go altogether: nobody may ever bring them up to the store.
    """
    kernel = session.kernel
    derived = _derived(session)
    for runner in derived:
        runner.scrub()
    kept = {file for runner in derived for file in runner.follower.files()}
    remove_files([file for file in files_of_all(side_base(session.store.location)) if file not in kept])
    kernel.drop_caches()
    return session.store.scrub()


def _derived(session: Session) -> list[Runner[Follower]]:
    """What keeps words of notes outside of the store."""
    return [*session.kernel.derived(), *session.kernel.followers()]


def _deleted(view: View, path: str) -> list[Trashed]:
    """What was deleted at a path, or as `@id`, as far as the agent may know of it."""
    past = view.past
    found = past.deleted_at(path)
    named = _BY_ID.fullmatch(path)
    if named and not found and view.store.find(path).stat is None:
        rows = past.changes(limit=1, node=int(named[1]))
        found = (
            [each for each in past.deleted_at(rows[0].path) if each.stat.id == rows[0].node] if rows else []
        )
    return [each for each in found if hindsight.may_restore(view, each)]


def _expired(view: View, path: str) -> list[int]:
    """What is at a path, is the agent's, and has expired: it is as if deleted, and will be by who comes upon it."""
    store, (above, name) = view.store, split(path)
    directory = store.find(above).stat
    row = None if directory is None else store.past.name_at(directory.id, name, store.head().sequence)
    stat = None if row is None else store.past.stat(row.node)
    if stat is None or store.find(path).stat is not None or row is None or row.until is not None:
        return []
    owned = stat.owner == view.agent or view.judge.is_elevated()
    return [stat.id] if owned else []


def _collect(session: Session, view: View, path: str, deleted: Sequence[int], texts: list[str]) -> None:
    """The paths, names, metadata, lines and words that will be gone; what names a note first, for there is a limit."""
    try:
        nodes = [found.stat.id for found in session.walk(path, Operation.STAT) if found.stat is not None]
    except NotFound:
        nodes = []
    nodes += deleted
    past, head = view.past, view.store.head().sequence
    for node in nodes:
        for change in view.past.rows(node=node):
            for known in (change.path, change.old_path):
                texts += [known, split(known)[1]] if known else []
            texts += _strings((change.details or {}).get(journal.META_BEFORE))
        texts += _strings(json.loads(past.meta_at(node, head)))
    words = [word for text in texts for word in _words(text)]
    for node in nodes:
        before: int | None = None
        while page := view.store.versions(node, before, _PAGE):
            for version in page:
                data = view.store.version_content(node, version.version) or b""
                text = data.decode("utf-8", "surrogateescape")
                texts += (line.strip() for line in text.splitlines())
                words += _words(text)
            before = page[-1].version
            if len(texts) + len(words) > _MOST_NEEDLES:
                texts[:] = dict.fromkeys(texts)
                words = list(dict.fromkeys(words))
                if len(texts) + len(words) > _MOST_NEEDLES:
                    del texts[_MOST_NEEDLES:]
                    del words[_MOST_NEEDLES:]
                    texts += words
                    return
    texts += words


def _strings(value: JSON) -> list[str]:
    """The texts in metadata."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, Sequence):
        return [text for inner in value for text in _strings(inner)]
    return []


def _words(text: str) -> list[str]:
    """Words as an index keeps them: of Chinese and the like each pair of signs."""
    found = []
    for word in _WORD.findall(text):
        pairs = ["".join(pair) for run in _SIGNS.findall(word) for pair in pairwise(run)]
        found += [word, *pairs]
    return [word for word in found if len(word.encode("utf-8", "surrogateescape")) >= _SHORTEST]


# --- proof -----------------------------------------------------------------------------------------


def traces(session: Session, texts: Iterable[str]) -> list[Trace]:
    """Where any of the texts still stands, whatever its case, in the store's files, side files and known copies.

    Texts that a living note, name or metadata says too are left out: they have not been forgotten. So are words that
    the files say for themselves (`Store.vocabulary`), and texts of fewer than six bytes. A file that cannot be read is
    told, since it may hold anything.
    """
    wanted = [
        text for text in dict.fromkeys(texts) if len(text.encode("utf-8", "surrogateescape")) >= _SHORTEST
    ]
    found = _scan(_files(session), wanted) if wanted else []
    living = _living(session, {trace.text for trace in found if not trace.unread})
    return [
        trace._replace(text=_shown(trace.text)) for trace in found if trace.unread or trace.text not in living
    ]


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _files(session: Session) -> list[str]:
    """The files of the store, whatever an interrupted backup or restoration left of it, and the known copies."""
    store = session.store
    base = Path(side_base(store.location))
    places = [
        *base.parent.glob(f"{base.name}*"),
        *base.parent.glob(".restoring-*"),
        base.parent / keeping.BACKUPS,
    ]
    places += [Path(each.location) for each in store.copies()]
    beside = [
        str(path) for place in places for path in sorted(place.rglob("*") if place.is_dir() else [place])
    ]
    derived = [file for runner in _derived(session) for file in runner.follower.files()]
    named = [*store.files(), *derived, *beside]
    return [name for name in dict.fromkeys(named) if Path(name).is_file()]


def _living(session: Session, texts: set[str]) -> set[str]:
    """Which of the texts some note that is there says, or is called, or the files themselves."""
    vocabularies = [session.store.vocabulary(), *(each.follower.vocabulary() for each in _derived(session))]
    own = "\0".join(vocabularies).casefold()
    said = {text for text in texts if text.casefold() in own}
    after = 0
    while texts - said:
        page = session.store.scan(after, 200, content=True)
        if not page:
            break
        for found in page:
            assert found.stat is not None
            after = max(after, found.stat.id)
            body = found.data.decode("utf-8", "surrogateescape")
            whole = f"{body}\0{found.path}\0{found.meta_json}".casefold()
            said |= {text for text in texts - said if text.casefold() in whole}
    return said


def _scan(files: Sequence[str], texts: Sequence[str]) -> list[Trace]:
    import subprocess

    from vfs_core import scanning

    done = subprocess.run(
        [sys.executable, "-I", scanning.__file__],
        input=json.dumps({"files": list(files), "texts": list(texts)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoreError(f"the store's files could not be searched: {done.stderr.strip()[-500:]}")
    answer = json.loads(done.stdout)
    found = [Trace(file, text) for file, text in answer["found"]]
    return found + [Trace(file, why, True) for file, why in answer["unread"]]
