"""Forgetting through a session: erase, scrub, throw derived data away, and look whether anything is left.

What cannot be reached is named: backups and exports made while a note existed. Looking is done on the raw bytes of
every file, by another process: to open and close a database file in a process that has it open in SQLite would drop
its locks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import hindsight
from vfs_core.errors import NoSpace, NotFound, NotOwner, ReadOnly, StoreBusy, StoreError, StoreReplaced
from vfs_core.hindsight import View
from vfs_core.past import Trashed
from vfs_core.path import MEMORY, split
from vfs_core.storage import Copy, Operation, side_base

if TYPE_CHECKING:
    from vfs_core.session import Session

_SHORTEST = 6
"""Bytes of the shortest text that is looked for: shorter ones stand everywhere by chance."""
_MOST_NEEDLES = 10_000
_PAGE = 500
_BY_ID = re.compile(rf"{MEMORY}/@([0-9]{{1,18}})")


class Trace(NamedTuple):
    """A text that still stands in a file."""

    file: str
    text: str


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
    texts: list[str] = []
    _collect(session, view, path, earlier, texts)

    def approve(trashed: Trashed) -> None:
        if trashed.stat.owner != agent and not elevated:
            raise NotOwner(f"{trashed.path} is {trashed.stat.owner}'s, who alone may have it forgotten")

    with session.transaction() as transaction:
        if session.judge.store is not view.store:
            raise StoreReplaced("the store was restored from a backup meanwhile; ask again")
        present = transaction.find(path).stat
        wanted = {each.stat.id for each in earlier}
        if present is not None or not known:
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


def scrub(session: Session) -> bool:
    """Throw away what is derived and cached, and clean free space and WAL of what has been erased."""
    kernel = session.kernel
    kernel.search().discard()
    kernel.drop_caches()
    return session.store.scrub()


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


def _collect(session: Session, view: View, path: str, deleted: Sequence[Trashed], texts: list[str]) -> None:
    """The texts, titles and paths that will be gone."""
    try:
        nodes = [found.stat.id for found in session.walk(path, Operation.STAT) if found.stat is not None]
    except NotFound:
        nodes = []
    for node in (*nodes, *(each.stat.id for each in deleted)):
        for change in view.past.changes(node=node):
            for known in (change.path, change.old_path):
                if known:
                    texts += [known, split(known)[1]]
        for version in view.store.versions(node, limit=_PAGE):
            data = view.store.version_content(node, version.version) or b""
            texts += (line.strip() for line in data.decode("utf-8", "replace").splitlines())
            if len(texts) > _MOST_NEEDLES:
                return
        title = json.loads(view.past.meta_at(node, view.store.head().sequence)).get("title")
        texts += [title] if isinstance(title, str) else []


# --- proof -----------------------------------------------------------------------------------------


def traces(session: Session, texts: Iterable[str]) -> list[Trace]:
    """Where any of the texts still stands, byte for byte, in the store's files, side files and known copies.

    Texts that a living note, name or title says too are left out: they have not been forgotten. So are those of fewer
    than six bytes.
    """
    wanted = [text for text in dict.fromkeys(texts) if len(text.encode("utf-8", "replace")) >= _SHORTEST]
    found = _scan(_files(session), wanted) if wanted else []
    living = _living(session, {trace.text for trace in found})
    return [trace for trace in found if trace.text not in living]


def _files(session: Session) -> list[str]:
    store = session.store
    base = side_base(store.location)
    beside = sorted(str(path) for path in Path(base).parent.glob(f"{Path(base).name}*") if path.is_file())
    copies = [each.location for each in store.copies()]
    named = [*store.files(), *session.kernel.search().follower.files(), *beside, *copies]
    return [name for name in dict.fromkeys(named) if Path(name).is_file()]


def _living(session: Session, texts: set[str]) -> set[str]:
    """Which of the texts some note that is there says, or is called."""
    said: set[str] = set()
    after = 0
    while texts - said:
        page = session.store.scan(after, 200, content=True)
        if not page:
            break
        for found in page:
            assert found.stat is not None
            after = max(after, found.stat.id)
            body = found.data.decode("utf-8", "replace")
            said |= {
                text for text in texts - said if text in body or text in found.path or text in found.meta_json
            }
    return said


_SCAN = """
import json, sys
given = json.load(sys.stdin)
needles = {text: text.encode() for text in given["texts"]}
longest = max(map(len, needles.values()))
found = []
for name in given["files"]:
    left, kept = dict(needles), b""
    try:
        with open(name, "rb") as file:
            while block := file.read(1 << 20):
                window = kept + block
                for text in [text for text, needle in left.items() if needle in window]:
                    found.append([name, text])
                    del left[text]
                kept = window[-longest:]
    except FileNotFoundError:
        continue
json.dump(found, sys.stdout)
"""


def _scan(files: Sequence[str], texts: Sequence[str]) -> list[Trace]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _SCAN],
        input=json.dumps({"files": list(files), "texts": list(texts)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoreError(f"the store's files could not be searched: {done.stderr.strip()[-500:]}")
    return [Trace(*each) for each in json.loads(done.stdout)]
