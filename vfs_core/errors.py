"""One tree of errors, each with its errno.

Every front end maps from here: FUSE returns `errno`, the CLI has an exit code for each class, MCP
shows the message. A message says what happened, to what, why, and what to do; it never names
anything that the caller may not know of.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass


class VfsError(Exception):
    """The root of the tree. `errno` is what a filesystem front end reports (EIO unless narrowed)."""

    errno: int = errno.EIO


# --- names and nodes -----------------------------------------------------------------------------


class NotFound(VfsError):
    """The name does not exist, or the caller may not know that it does."""

    errno = errno.ENOENT

    @classmethod
    def at(cls, path: str) -> NotFound:
        """The one wording for missing and hidden names alike."""
        return cls(f"{path}: not found")


class Denied(VfsError):
    """The caller may know of the node but not do this; the message names the rule."""

    errno = errno.EACCES


class NotOwner(Denied):
    """Only the owner may do this (change mode, owner, shares; widen readership)."""

    errno = errno.EPERM


class NoAttribute(VfsError):
    """The node has no extended attribute of this name."""

    errno = errno.ENODATA


class Exists(VfsError):
    """The name is taken."""

    errno = errno.EEXIST


class NotADirectory(VfsError):
    """A component of the path, or the operand, is not a directory."""

    errno = errno.ENOTDIR


class IsADirectory(VfsError):
    """The operation is for files and the node is a directory."""

    errno = errno.EISDIR


class LinkLoop(VfsError):
    """Too many symlinks lead one to the other."""

    errno = errno.ELOOP


class NotEmpty(VfsError):
    """The directory still has entries."""

    errno = errno.ENOTEMPTY


class InUse(VfsError):
    """The node is a fixed place of the store and can be neither moved nor removed."""

    errno = errno.EBUSY


class Invalid(VfsError):
    """The request itself is wrong: a bad path, value, name or argument."""

    errno = errno.EINVAL


class NameTooLong(Invalid):
    """A component over 255 bytes, or a path over 4,096."""

    errno = errno.ENAMETOOLONG


class TooLarge(Invalid):
    """The value is over a stated limit."""

    errno = errno.EFBIG


class Conflict(VfsError):
    """The node has moved on since the version that the write was based on."""

    errno = errno.ESTALE


class VersionGone(VfsError):
    """The content of an old version is not kept any more."""

    errno = errno.ENODATA


class CrossHandler(VfsError):
    """Rename and link work within the store only, not across handlers."""

    errno = errno.EXDEV


class Unsupported(VfsError):
    """What serves this path does not offer the operation."""

    errno = errno.ENOTSUP


class ReadOnly(VfsError):
    """The store, or what serves this path, cannot be written."""

    errno = errno.EROFS


class TimedOut(VfsError):
    """A deadline passed before the work was done."""

    errno = errno.ETIMEDOUT


class QuotaExceeded(VfsError):
    """The write would exceed a quota."""

    errno = errno.EDQUOT


# --- the store -----------------------------------------------------------------------------------


class StoreError(VfsError):
    """Something is wrong with the store as a whole; the data is as it was."""


class NoSpace(StoreError):
    """The disk is full; the write was rolled back."""

    errno = errno.ENOSPC


class StoreBusy(StoreError):
    """The write lock could not be had in time."""

    errno = errno.EAGAIN


class ForeignStore(StoreError):
    """The file is not an AVM store."""

    errno = errno.EINVAL


class CorruptStore(StoreError):
    """The file is an AVM store and damaged."""


class StoreReplaced(StoreError):
    """A backup has been put in the store's place meanwhile; what was asked was not done. Ask again."""

    errno = errno.EAGAIN


class NewerStore(StoreError):
    """The store was made by a newer AVM than the running one."""

    errno = errno.EPROTO


# --- configuration and plugins -------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration file.

    `where` is `file:line`, `key` the dotted path in the document, `what` what is wrong and `cure`
    what would be right (may be empty).
    """

    where: str
    key: str
    what: str
    cure: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: {self.key}" if self.key else self.where
        return f"{place}: {self.what}" + (f"; {self.cure}" if self.cure else "")


class ConfigError(VfsError):
    """The configuration cannot be used. `problems` lists everything that is wrong at once."""

    errno = errno.EINVAL

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class PluginError(VfsError):
    """A plugin, or something it supplies, is missing or failed; names the plugin and the cause."""

    errno = errno.ENOSYS


class MissingExtra(PluginError):
    """An optional dependency is not installed; the message says what to type."""
