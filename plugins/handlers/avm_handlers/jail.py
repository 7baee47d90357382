"""A directory that no name and no symlink leads out of: paths are opened component by component.

Every step is an `openat` that follows no symlink. A symlink is read and its target walked in the same way, so what
is checked is what is opened: swapping a directory for a symlink meanwhile changes what is found, never where. What
this module is not: it knows no content. A hard link or a bind mount inside the root is inside.
"""

from __future__ import annotations

import errno
import os
import stat as bits
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from avm_handlers.own_files import OwnFiles
from vfs_core.errors import (
    CrossHandler,
    Denied,
    Exists,
    Invalid,
    IsADirectory,
    LinkLoop,
    NameTooLong,
    NoSpace,
    NotADirectory,
    NotEmpty,
    NotFound,
    QuotaExceeded,
    ReadOnly,
    Unsupported,
    VfsError,
)
from vfs_core.path import PATH_MAX

LINKS_MAX = 40
"""Symlinks on the way to one file (as Linux has it)."""
STEPS_MAX = 20_000
"""Directories opened on the way to one file: ends the walk along symlinks that go up and down without end."""
TRIES = 16
"""How often a name that is swapped while it is opened is looked up anew."""

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSING = _DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)  # O_PATH: needs no right to list
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LINK_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR)

_CLASSES: dict[int, type[VfsError]] = {
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EEXIST: Exists,
    errno.ENOTDIR: NotADirectory,
    errno.EISDIR: IsADirectory,
    errno.ELOOP: LinkLoop,
    errno.ENOTEMPTY: NotEmpty,
    errno.EINVAL: Invalid,
    errno.ENAMETOOLONG: NameTooLong,
    errno.EXDEV: CrossHandler,
    errno.EROFS: ReadOnly,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: QuotaExceeded,
}


class Place(NamedTuple):
    """Where a name is: an open directory (a file descriptor, for `dir_fd`) and a name in it.

    The name is `.` for the directory itself.
    """

    directory: int
    name: str

    def stat(self) -> os.stat_result:
        """What is there; of a symlink, the symlink."""
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def open(self, path: str, flags: int, own: OwnFiles) -> int | None:
        """A file descriptor of the regular file here; None if a symlink has been put in its place.

        Raises Denied for a file of AVM's own store. What is special is looked at before it is opened, as opening a
        device does things, and after.
        """
        own.refuse(path, self.directory, self.name)
        with suppress(FileNotFoundError):
            found = self.stat()
            if bits.S_ISLNK(found.st_mode):
                return None
            refuse_all_but_files(path, found)
        try:
            file = os.open(self.name, flags | _CAREFUL, 0o666, dir_fd=self.directory)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            if error.errno == errno.ENXIO:  # a FIFO without a reader, put there meanwhile
                raise Unsupported(f"{path} is not a file") from None
            raise
        try:
            refuse_all_but_files(path, os.fstat(file))
        except BaseException:
            os.close(file)
            raise
        return file


class RootMissing(NotFound):
    """The root itself is not there."""


@contextmanager
def told_of(path: str) -> Iterator[None]:
    """Turns an OSError into the VfsError that says the same of `path`; the real path is not named."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise NotFound.at(path) from None
        kind = _CLASSES.get(error.errno or 0, VfsError)
        raise kind(f"{path}: {os.strerror(error.errno or errno.EIO)} (says the file system)") from error


def refuse_special(path: str, found: os.stat_result) -> None:
    """Raises Unsupported for what is neither a file nor a directory (a FIFO, a socket, a device)."""
    if not (bits.S_ISREG(found.st_mode) or bits.S_ISDIR(found.st_mode)):
        raise Unsupported(f"{path} is a FIFO, a socket or a device; only files and directories are served")


def refuse_all_but_files(path: str, found: os.stat_result) -> None:
    """Raises IsADirectory, or Unsupported as `refuse_special`."""
    if bits.S_ISDIR(found.st_mode):
        raise IsADirectory(f"{path} is a directory")
    refuse_special(path, found)


def restless(path: str) -> Denied:
    """What to say when a name was swapped at every try."""
    return Denied(f"{path} is being swapped for a symlink again and again; nothing was opened")


class Jail:
    """The directory `root`: an absolute path, may itself be a symlink; it need not be there yet.

    `relative` is everywhere a path below it with `/` between names, empty for the root; `path` is what errors call it.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @contextmanager
    def place(
        self, path: str, relative: str, *, follow: bool = True, make_parents: bool = False
    ) -> Iterator[Place]:
        """Where `relative` is, its directory held open meanwhile; the name itself need not be there.

        With `follow` the name was no symlink a moment ago: open it without following. Raises Denied where a symlink
        leads out of the root, LinkLoop, NotFound, NotADirectory, Invalid for names such as `..`.
        """
        with told_of(path):
            directory, name = self._walk(path, _names(path, relative), follow, make_parents)
            try:
                yield Place(directory, name)
            finally:
                os.close(directory)

    def open(self, path: str, relative: str, flags: int, own: OwnFiles, *, make_parents: bool = False) -> int:
        """A file descriptor of the regular file at `relative`, opened with `flags`; never waits for a FIFO.

        Raises as `place`, IsADirectory, Unsupported for special files.
        """
        for _ in range(TRIES):
            with self.place(path, relative, make_parents=make_parents) as place:
                file = place.open(path, flags, own)
            if file is not None:
                return file
        raise restless(path)

    def open_directory(self, path: str, relative: str) -> int:
        """A file descriptor of the directory at `relative`, for listing."""
        for _ in range(TRIES):
            with self.place(path, relative) as place:
                try:
                    return os.open(place.name, os.O_RDONLY | _DIRECTORY, dir_fd=place.directory)
                except OSError as error:
                    if error.errno not in _LINK_IN_THE_WAY or not bits.S_ISLNK(place.stat().st_mode):
                        raise
        raise restless(path)

    def stat(self, path: str, relative: str) -> os.stat_result:
        """The stat of the file or directory at `relative`, symlinks followed. Raises as `open`."""
        for _ in range(TRIES):
            with self.place(path, relative) as place:
                found = place.stat()
            if not bits.S_ISLNK(found.st_mode):
                refuse_special(path, found)
                return found
        raise restless(path)

    # --- walking ---------------------------------------------------------------------------------

    def _walk(self, path: str, names: list[str], follow: bool, make_parents: bool) -> tuple[int, str]:
        """The open directory that holds the last name, and that name. The caller closes it."""
        here, walked = self._open_root(), list[str]()
        pending = deque(names)
        links = 0
        try:
            for _ in range(STEPS_MAX):
                if not pending:
                    return here, "."
                name = pending.popleft()
                if name == "..":  # only ever from a symlink
                    if not walked:
                        raise _leaves(path)
                    pending.extendleft(reversed(walked[:-1]))
                    here, walked = self._again(here), []
                    continue
                if pending:
                    below = _enter(here, name, make_parents)
                    if below is not None:
                        os.close(here)
                        here = below
                        walked.append(name)
                        continue
                    target = _link_target(here, name)
                    if target is None:
                        if bits.S_ISDIR(Place(here, name).stat().st_mode):  # swapped since
                            pending.appendleft(name)
                            continue
                        raise NotADirectory(f"{path}: {name!r} in it is not a directory")
                else:
                    target = _link_target(here, name) if follow else None
                    if target is None:
                        return here, name
                links += 1
                if links > LINKS_MAX:
                    raise LinkLoop(f"{path}: over {LINKS_MAX} symlinks lead one to the other")
                pending.extendleft(reversed(self._target_names(path, target)))
                if target.startswith("/"):
                    here, walked = self._again(here), []
            raise LinkLoop(f"{path}: its symlinks lead up and down over {STEPS_MAX} directories")
        except BaseException:
            os.close(here)
            raise

    def _open_root(self) -> int:
        try:
            return os.open(self.root, (_PASSING & ~os.O_NOFOLLOW))
        except FileNotFoundError:
            raise RootMissing(f"the root of the handler 'file', {self.root}, is not there; make it") from None
        except NotADirectoryError:
            raise NotADirectory(f"the root of the handler 'file', {self.root}, is not a directory") from None
        except PermissionError:
            raise Denied(f"the root of the handler 'file', {self.root}, may not be entered") from None

    def _again(self, here: int) -> int:
        """The root once more, in place of the directory `here`."""
        root = self._open_root()
        os.close(here)
        return root

    def _target_names(self, path: str, target: str) -> list[str]:
        """What a symlink names, relative to where it is or, if absolute, to the root."""
        names = [name for name in target.split("/") if name not in ("", ".")]
        if not target.startswith("/"):
            return names
        for root in (self.root, os.path.realpath(self.root)):
            above = [name for name in root.split("/") if name not in ("", ".")]
            if names[: len(above)] == above:
                return names[len(above) :]
        raise _leaves(path)


def _leaves(path: str) -> Denied:
    return Denied(f"{path}: a symlink leads out of the root of this place; such links are not followed")


def _names(path: str, relative: str) -> list[str]:
    """The names in a relative path. Raises Invalid for what is no plain name."""
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise Invalid(f"{path}: a path below the root has no empty names, no '.', no '..' and no NUL")
    try:
        if len(relative.encode()) > PATH_MAX:
            raise NameTooLong(f"the path {path[:40]!r}... has over {PATH_MAX} bytes")
    except UnicodeEncodeError:
        raise Invalid(f"{path!r} is not valid UTF-8") from None
    return names


def _enter(here: int, name: str, make: bool) -> int | None:
    """The directory `name` in `here`, opened; None if it is something else."""
    try:
        return os.open(name, _PASSING, dir_fd=here)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=here)
        return _enter(here, name, make=False)
    except OSError as error:
        if error.errno in _LINK_IN_THE_WAY:
            return None
        raise


def _link_target(here: int, name: str) -> str | None:
    """What the symlink `name` says; None if it is no symlink, or not there."""
    try:
        return os.readlink(name, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise
