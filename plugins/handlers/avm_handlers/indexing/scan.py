"""Bringing a project's index up to its files, and saying how far it is behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from avm_handlers.indexing import index_file
from avm_handlers.indexing.files import Content, Seen, read, walk
from avm_handlers.indexing.index_file import Entry, IndexFile, Known
from avm_handlers.indexing.languages import language_of
from avm_handlers.indexing.signatures import Signature, signatures
from vfs_core.errors import Denied, Invalid, NotFound

_AT_ONCE = 200
"""Files whose result is committed together; an interrupted scan keeps those."""
_LONGEST_SOURCE = 2 * 1024 * 1024
"""Bytes of source that are still parsed; what is longer was written by a machine."""

Reached = Callable[[int, int], None]


@dataclass
class Scanned:
    """What a scan has done. `read` counts the files that were opened, `parsed` those whose signatures are new."""

    root: str
    files: int = 0
    read: int = 0
    parsed: int = 0
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class State(NamedTuple):
    """A file and how the index stands to it: dirty is what has changed, or is new, since it was read."""

    path: str
    status: Literal["clean", "dirty", "missing"]


def scan(name: str, root: Path | None = None, reached: Reached = lambda done, total: None) -> Scanned:
    """Read what has changed in a project since the last scan. Without a root it is where it was.

    Raises NotFound (no root is known, or it is gone), Invalid, MissingExtra.
    """
    if root is None:
        with index_file.reading(name) as index:
            root = index.root()
        if root is None:
            raise NotFound(f"the index {name!r} has no project yet: avm index scan {name} PATH")
    root = root.absolute().resolve()
    if not root.is_dir():
        raise NotFound(f"{root} is not a directory that could be scanned")
    try:
        str(root).encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{str(root)!r} is not UTF-8; rename it to index what is in it") from error
    with index_file.writing(name) as index:
        index.move(root)
        return _bring_up(index, root, reached)


def status(index: IndexFile, check: Callable[[], object] = lambda: None) -> list[State]:
    """Every file of the project and of the index, by path. Reads only files whose times have changed."""
    root = index.root()
    known = index.files()
    states = {path: State(path, "missing") for path in known}
    for path, mark in walk(root, [], check) if root is not None else ():
        before = known.get(path)
        clean = before is not None and (before.mark == mark or _is_same(root, path, before, mark.size))
        states[path] = State(path, "clean" if clean else "dirty")
    return sorted(states.values())


def _is_same(root: Path | None, path: str, before: Known, size: int) -> bool:
    if root is None or before.digest is None or before.mark.size not in (size, -1):
        return False
    try:
        content = read(root, path)
    except OSError:
        return False
    return content is not None and content.digest == before.digest


def _bring_up(index: IndexFile, root: Path, reached: Reached) -> Scanned:
    done = Scanned(str(root))
    known = index.files()
    seen = list(walk(root, done.skipped))
    present = {each.path for each in seen}
    if "." in done.skipped:
        raise Denied(f"{root} may not be listed by this user")
    done.files = len(seen)
    # What cannot be looked at now is not gone.
    unseen = tuple(each for each in done.skipped if each.endswith("/"))
    lost = known.keys() - present - set(done.skipped)
    done.removed = sorted(path for path in lost if not path.startswith(unseen))
    index.put((), done.removed)
    stale = [each for each in seen if each.path not in known or known[each.path].mark != each.mark]
    for start in range(0, len(stale), _AT_ONCE):
        reached(start, len(stale))
        entries, gone = _read_all(root, stale[start : start + _AT_ONCE], known, done)
        index.put(entries, gone)
    reached(len(stale), len(stale))
    return done


def _read_all(
    root: Path, stale: Iterable[Seen], known: dict[str, Known], done: Scanned
) -> tuple[list[Entry], list[str]]:
    entries, gone = [], []
    for path, _ in stale:
        try:
            content = read(root, path)
        except OSError:
            done.skipped.append(path)
            continue
        before = known.get(path)
        if content is None:
            gone.append(path)
            continue
        done.read += 1
        if before is not None and content.digest is not None and content.digest == before.digest:
            entries.append(Entry(path, before._replace(mark=content.mark), None))
            continue
        (done.added if before is None else done.changed).append(path)
        language, found = _understood(path, content)
        done.parsed += language is not None
        entries.append(Entry(path, Known(content.mark, content.digest, language), found))
    return entries, gone


def _understood(path: str, content: Content) -> tuple[str | None, list[Signature]]:
    language, data = language_of(path), content.data
    if language is None or data is None or len(data) > _LONGEST_SOURCE or b"\0" in data:
        return None, []
    return language.name, signatures(language, data)
