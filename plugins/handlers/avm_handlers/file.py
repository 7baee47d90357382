"""The `file` handler: shows a directory of the real file system under a name of AVM's.

    providers:
      - pattern: "/src/**"
        handler: file
        config: { root: ~/project/src }

Where things are is `jail`'s business; this module reads, writes and lists there. It is read-only unless the rule says
`writable: true` (and a permission says `rw`).
"""

from __future__ import annotations

import errno
import os
import stat as bits
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar, Literal

from avm_handlers.jail import TRIES, Jail, Place, RootMissing, refuse_special, restless, told_of
from avm_handlers.own_files import OwnFiles, own_files
from avm_handlers.placing import TEMPORARY, move, replace, write_all
from vfs_core.config_text import Template
from vfs_core.errors import (
    InUse,
    Invalid,
    NotEmpty,
    NotFound,
    ReadOnly,
    TooLarge,
    Unsupported,
    VfsError,
)
from vfs_core.handler import BaseHandler, Context, Listed
from vfs_core.types import JSON, Kind, Node, Stat

MAX_BYTES = 64 << 20
"""The default of `max_bytes`."""
ABANDONED = 3600.0
"""Seconds after which a temporary file is one that a killed process left behind."""

_CHUNK = 1 << 20


class FileHandler(BaseHandler):
    """Shows a directory of the real file system. Reads, lists and examines its files and directories.

    With `writable: true` it also writes (whole files, atomically), appends, deletes (files, and directories that are
    empty) and renames. Symlinks that lead out of the directory are refused; FIFOs, sockets and devices are not served.
    """

    caching: ClassVar[Literal["all", "agent", "never"]] = "all"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._jail = Jail(_root(self.config.get("root")))
        self._path = self.config.get("path")
        if not (self._path is None or (isinstance(self._path, str) and self._path)):
            raise Invalid(f"config.path of the handler 'file' is a path below root, not {self._path!r}")
        self._writable = self.config.get("writable", False)
        if not isinstance(self._writable, bool):
            raise Invalid(f"config.writable of the handler 'file' is true or false, not {self._writable!r}")
        self._max_bytes = self.config.get("max_bytes", MAX_BYTES)
        if isinstance(self._max_bytes, bool) or not isinstance(self._max_bytes, int) or self._max_bytes < 1:
            raise Invalid(
                f"config.max_bytes of the handler 'file' is a number of bytes, not {self._max_bytes!r}"
            )

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses what no instance can be made with."""
        cls(config).close()

    # --- reading ---------------------------------------------------------------------------------

    def read(self, path: str, context: Context) -> Node | None:
        """The file, or the part of it that is asked for."""
        try:
            file = self._jail.open(path, self._below(path, context), os.O_RDONLY, _own(context))
        except RootMissing:
            raise
        except NotFound:
            return None
        with told_of(path):
            try:
                found = os.fstat(file)
                data = self._content(path, file, found.st_size, context)
            finally:
                os.close(file)
        whole = context.offset == 0 and context.size is None
        return Node(path, data, self._as_stat(found, len(data) if whole else None))

    def stat(self, path: str, context: Context) -> Stat | None:
        """Size, times and mode as the file system has them."""
        try:
            found = self._jail.stat(path, self._below(path, context))
        except RootMissing:
            raise
        except NotFound:
            return None
        return self._as_stat(found)

    def list(self, path: str, context: Context) -> list[Listed]:
        """The files and directories, as `stat` says of each; of symlinks those whose target is served, as that.

        Names that are not UTF-8 are left out, and so is everything if the rule has a `path`.
        """
        if self._path is not None:
            return []
        relative = self._below(path, context)
        directory = self._jail.open_directory(path, relative)
        listed: list[Listed] = []
        with told_of(path):
            try:
                own = _own(context).beginnings(directory)
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if own and entry.name.casefold().startswith(own):
                            continue
                        if TEMPORARY.fullmatch(entry.name):
                            self._clean_up(directory, entry.name)
                        elif (found := self._listed(entry, relative)) is not None:
                            listed.append(found)
                        context.remaining()
            finally:
                os.close(directory)
        return listed

    # --- writing ---------------------------------------------------------------------------------

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Put a new file in place of the old one, in one step; missing directories are made."""
        relative = self._to_change(path, context)
        self._refuse_size(path, len(data))
        for _ in range(TRIES):
            with self._jail.place(path, relative, make_parents=True) as place:
                try:
                    old = place.open(path, os.O_WRONLY, _own(context))
                except FileNotFoundError:
                    return replace(place, data, None)
                if old is None:
                    continue
                try:
                    return replace(place, data, os.fstat(old))
                finally:
                    os.close(old)
        raise restless(path)

    def append(self, path: str, data: bytes, context: Context) -> None:
        """Add to the end; missing directories are made."""
        relative = self._to_change(path, context)
        self._refuse_size(path, len(data))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = self._jail.open(path, relative, flags, _own(context), make_parents=True)
        with told_of(path):
            try:
                self._refuse_size(path, os.fstat(file).st_size + len(data))
                write_all(file, data)
                os.fsync(file)
            finally:
                os.close(file)

    def delete(self, path: str, context: Context) -> None:
        """Remove a file, a symlink (not its target) or an empty directory."""
        with self._jail.place(path, self._to_change(path, context), follow=False) as place:
            _refuse_root(path, place)
            _own(context).refuse(path, *place)
            found = place.stat()
            if bits.S_ISLNK(found.st_mode) or not bits.S_ISDIR(found.st_mode):
                _refuse_special_name(path, found)
                os.unlink(place.name, dir_fd=place.directory)
                return
            try:
                os.rmdir(place.name, dir_fd=place.directory)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise NotEmpty(
                        f"{path}: the directory is not empty (unlisted names count); remove what is in it first"
                    ) from None
                raise

    def rename(self, old: str, new: str, context: Context) -> None:
        """Move a file, a symlink or a directory within the root; never over something else."""
        source_at = self._to_change(old, context)
        if self._path is not None:
            raise Unsupported(f"{old}: what is served by a rule with config.path cannot be renamed")
        target_at = new[len(old) - len(context.relative) :]
        if new.startswith(old + "/"):
            raise Invalid(f"{old} cannot be moved below itself")
        self._refuse_temporary(new, target_at)
        with self._jail.place(old, source_at, follow=False) as source:
            _refuse_root(old, source)
            _own(context).refuse(old, *source)
            found = source.stat()
            _refuse_special_name(old, found)
            with self._jail.place(new, target_at, follow=False) as target:
                _own(context).refuse(new, *target)
                move(new, source, target, is_directory=bits.S_ISDIR(found.st_mode))

    # --- parts -----------------------------------------------------------------------------------

    def _below(self, path: str, context: Context) -> str:
        """Where `path` is below the root."""
        relative = context.relative
        if isinstance(self._path, Template):
            for name, value in context.parameters.items():
                if "/" in value:
                    raise Invalid(f"{path}: {{{name}}} is {value!r}, and one name has no '/'")
            relative = self._path.fill(context.parameters, os.environ)
        elif self._path is not None:
            relative = self._path
        self._refuse_temporary(path, relative)
        return relative

    @staticmethod
    def _refuse_temporary(path: str, relative: str) -> None:
        if any(TEMPORARY.fullmatch(name) for name in relative.split("/")):
            raise NotFound.at(path)

    def _to_change(self, path: str, context: Context) -> str:
        if not self._writable:
            raise ReadOnly(f"{path} is read-only; its rule's config would have to say writable: true")
        return self._below(path, context)

    def _refuse_size(self, path: str, size: int) -> None:
        if size > self._max_bytes:
            raise TooLarge(
                f"{path}: {size:,} bytes are over the {self._max_bytes:,} of config.max_bytes of its rule"
            )

    def _content(self, path: str, file: int, size: int, context: Context) -> bytes:
        """The part that is asked for; by what can be read, as files grow and some say size 0."""
        wanted = size - context.offset if context.size is None else min(context.size, size - context.offset)
        self._refuse_size(path, wanted)
        if context.offset:
            os.lseek(file, min(context.offset, sys.maxsize), os.SEEK_SET)
        limit = self._max_bytes + 1 if context.size is None else min(context.size, self._max_bytes + 1)
        chunks: list[bytes] = []
        length = 0
        while length < limit:
            context.remaining()
            chunk = os.read(file, min(_CHUNK, limit - length))
            if not chunk:
                break
            chunks.append(chunk)
            length += len(chunk)
        self._refuse_size(path, length)
        return b"".join(chunks)

    def _as_stat(self, found: os.stat_result, size: int | None = None) -> Stat:
        if size is None:
            size = found.st_size if bits.S_ISREG(found.st_mode) else 0
        kind = Kind.DIRECTORY if bits.S_ISDIR(found.st_mode) else Kind.FILE
        mode = found.st_mode & (0o777 if self._writable else 0o555)
        return Stat(
            0,
            kind,
            mode,
            "",
            "",
            size,
            0,
            found.st_mtime_ns,
            found.st_ctime_ns,
            min(found.st_mtime_ns, found.st_ctime_ns),
            found.st_uid,
            found.st_gid,
            found.st_nlink,
            accessed_ns=found.st_atime_ns,
        )

    def _listed(self, entry: os.DirEntry[str], relative: str) -> Listed | None:
        """What an entry is to be listed as; None: not at all."""
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            return None
        if entry.is_symlink():
            below = f"{relative}/{entry.name}" if relative else entry.name
            try:
                return entry.name, self._as_stat(self._jail.stat(below, below))
            except VfsError:
                return None
        is_directory = entry.is_dir(follow_symlinks=False)
        if not (is_directory or entry.is_file(follow_symlinks=False)):
            return None
        try:
            return entry.name, self._as_stat(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return None
        except OSError:  # in a directory that may be listed and not entered, for instance
            return entry.name + "/" if is_directory else entry.name

    def _clean_up(self, directory: int, name: str) -> None:
        """Remove a temporary file that a killed process left behind."""
        if not self._writable:
            return
        with suppress(OSError):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if bits.S_ISREG(found.st_mode) and time.time() - found.st_mtime > ABANDONED:
                os.unlink(name, dir_fd=directory)


def _own(context: Context) -> OwnFiles:
    """The files that are never shown: those of the store that the session is of."""
    return own_files(context.session.kernel.location)


def _root(root: JSON) -> str:
    """The configured root, with `~` expanded."""
    if not isinstance(root, str) or not root or "\0" in root:
        raise Invalid("the handler 'file' needs config.root, a directory such as ~/notes or /srv/data")
    if isinstance(root, Template):
        raise Invalid(
            f"config.root of the handler 'file' is one directory and names no parameters: {str(root)!r}; "
            "parameters go into config.path"
        )
    expanded = os.path.expanduser(root)  # noqa: PTH111  (a root is text: Path would drop what it means)
    if not expanded.startswith("/"):
        raise Invalid(f"config.root of the handler 'file' starts with '/' or '~', unlike {root!r}")
    return expanded


def _refuse_root(path: str, place: Place) -> None:
    if place.name == ".":
        raise InUse(f"{path} is the root of its rule and stays")


def _refuse_special_name(path: str, found: os.stat_result) -> None:
    """As `refuse_special`, but a symlink is a name like others."""
    if not bits.S_ISLNK(found.st_mode):
        refuse_special(path, found)
