"""A directory of the operating system as records, in order, without what is no note."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections.abc import Iterator
from pathlib import Path

from avm_builtin.frontends.cli.transfer.lines import Record
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.path import join

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GIT = ".git"


def records_of(source: Path, target: str, outcome: Outcome, *, git: bool) -> Iterator[Record]:
    """The files below a directory (or the one file), with their paths below `target`. Follows no link."""
    if not source.is_dir():
        yield Record(join(target, _utf8(source.name, outcome)), _read(source))
        return
    todo: list[tuple[str, str]] = [(os.fspath(source), target)]
    while todo:
        directory, path = todo.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda each: each.name)
        except OSError as error:
            outcome.fail(directory, error)
            continue
        below: list[tuple[str, str]] = []
        for entry in entries:
            if entry.is_symlink():
                outcome.skip(entry.path, "a symbolic link")
            elif entry.is_dir(follow_symlinks=False):
                if entry.name == _GIT and not git:
                    outcome.skip(entry.path, "a git repository's own (--git brings it in)")
                else:
                    below.append((entry.path, join(path, _utf8(entry.name, outcome))))
            elif entry.is_file(follow_symlinks=False):
                try:
                    data = _read(Path(entry.path))
                except OSError as error:
                    outcome.fail(entry.path, error)
                else:
                    yield Record(join(path, _utf8(entry.name, outcome)), data)
            else:
                outcome.skip(entry.path, "neither a file nor a directory")
        todo += reversed(below)


def _read(path: Path) -> bytes:
    fd = os.open(path, _READ)
    with os.fdopen(fd, "rb") as file:
        if not stat_bits.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return file.read()


def _utf8(name: str, outcome: Outcome) -> str:
    """The name, with %XX for bytes that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        new = "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)
        outcome.rename(name, new, "because it is not UTF-8")
        return new
    return name
