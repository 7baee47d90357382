"""The files of a project, as git would see them: walked without following links, `.gitignore` respected.

Each comes with what tells cheaply whether it has changed. The rules of git are those of pathspec; the settings of a
user (`core.excludesFile`) are not looked at, so that everybody has the same index.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from avm_handlers.indexing.signatures import REQUIRES
from vfs_core.errors import MissingExtra

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is still read; of a larger one only size and times tell whether it has changed."""
_TICK_NS = 20_000_000
"""A file that changes twice within the tick of a file system's clock (4 to 10 ms) may look as if it had once."""

Rules: TypeAlias = "tuple[tuple[str, GitIgnoreSpec], ...]"


class Mark(NamedTuple):
    """What tells whether a file has changed without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


NEVER = Mark(-1, 0, 0, 0)
"""The mark of no file: whatever has it is read the next time."""


class Seen(NamedTuple):
    """One file of a project: its path below the root, and its mark."""

    path: str
    mark: Mark


class Content(NamedTuple):
    """What was read of a file: its mark, the hash of its content, and the content. A large one has neither."""

    mark: Mark
    digest: bytes | None
    data: bytes | None


def walk(root: Path, skipped: list[str], check: Callable[[], object] = lambda: None) -> Iterator[Seen]:
    """The files below `root` that git would not ignore, directory by directory.

    What cannot be looked at, or has a name that is not UTF-8, goes to `skipped`. `check` is called now and then, and
    may raise. Raises MissingExtra.
    """
    waiting = [("", _outer_rules(root))]
    while waiting:
        check()
        directory, rules = waiting.pop()
        try:
            with os.scandir(root / directory) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            skipped.append(directory or ".")
            continue
        rules = _with_rules_of(rules, root / directory)
        below = []
        for entry in entries:
            path = f"{directory}{entry.name}"
            try:
                path.encode()
                is_directory = entry.is_dir(follow_symlinks=False)
                if entry.name == ".git" or _is_ignored(rules, entry.path + "/" * is_directory):
                    continue
                if is_directory:
                    below.append((f"{path}/", rules))
                elif entry.is_file(follow_symlinks=False):
                    yield Seen(path, _mark(entry.stat(follow_symlinks=False)))
            except (OSError, UnicodeEncodeError):
                skipped.append(path.encode(errors="backslashreplace").decode())
        waiting += reversed(below)


def read(root: Path, path: str) -> Content | None:
    """A file's content; None if there is none any more. Raises OSError if it may not be read."""
    try:
        # Neither through a link nor waiting for a pipe, whatever has come to its place meanwhile.
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        if before.st_size > LARGEST:
            return Content(_mark(before), None, None)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    mark = _mark(after)
    recent = max(mark.mtime_ns, mark.ctime_ns) > time.time_ns() - _TICK_NS
    settled = mark == _mark(before) and len(data) == mark.size and not recent
    return Content(mark if settled else NEVER, hashlib.sha256(data).digest(), data)


def _mark(found: os.stat_result) -> Mark:
    return Mark(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


# --- what git ignores ----------------------------------------------------------------------------


def _outer_rules(root: Path) -> Rules:
    """The rules from above the root, if it is in a repository."""
    rules: Rules = ()
    top = next((each for each in (root, *root.parents) if (each / ".git").exists()), None)
    if top is None:
        return rules
    rules = _with_rules_of(rules, top, ".git/info/exclude")
    between = [each for each in reversed(root.parents) if each == top or top in each.parents]
    for directory in between:
        rules = _with_rules_of(rules, directory)
    # Whoever asks for a directory that is ignored, such as an installed package, wants what is in it.
    return () if _is_ignored(rules, f"{root}/") else rules


def _with_rules_of(rules: Rules, directory: Path, name: str = ".gitignore") -> Rules:
    file = directory / name
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return rules
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return rules
    return (*rules, (f"{directory}/".replace("//", "/"), _spec(lines)))


def _spec(lines: list[str]) -> GitIgnoreSpec:
    try:
        from pathspec import GitIgnoreSpec
    except ImportError as error:
        raise MissingExtra(f"the index needs pathspec, which is not installed; type: {REQUIRES}") from error

    def understood(line: str) -> bool:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            return False  # git passes over such a line, too
        return True

    return GitIgnoreSpec.from_lines([line for line in lines if understood(line)])


def _is_ignored(rules: Rules, path: str) -> bool:
    """What the last rule about a path says; the deepest file's come last. A directory's path ends in a slash."""
    for base, spec in reversed(rules):
        included = spec.check_file(path[len(base) :]).include
        if included is not None:
            return included
    return False
