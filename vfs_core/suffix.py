"""The suffix contract: virtual nodes beside every node, `/memory/lesson.md:tags` for instance.

A suffix declares the operation that reading and writing it amounts to; the session asks the policy
for that operation on the base path before the suffix is called, so a suffix never shows what its
base would not. It works on the base through the session, with the caller's rights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs_core.errors import ReadOnly
from vfs_core.storage import Operation
from vfs_core.types import Node, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session


@dataclass(frozen=True)
class SuffixContext:
    """The base of a virtual node, fetched only as far as it is asked for."""

    session: Session
    path: str
    query: Mapping[str, str]

    def stat(self) -> Stat:
        """The base's stat, without its content."""
        return self.session.stat(self.path)

    def node(self) -> Node:
        """The base with its content."""
        return self.session.read(self.path)


class BaseSuffix(ABC):
    """Subclass and implement `read`; implement `write` and set `write_operation` if it can be written.

    One instance serves all requests, from several threads.
    """

    read_operation: Operation = Operation.READ
    """What reading the suffix asks of the policy on the base."""

    write_operation: Operation | None = None
    """What writing it asks; None: it cannot be written."""

    on_directories: bool = True
    """Whether the base may be a directory."""

    on_files: bool = True
    """Whether the base may be a file."""

    @abstractmethod
    def read(self, context: SuffixContext) -> bytes | str:
        """The content of the virtual node."""

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Take what was written. Bad input raises Invalid, says what is right and changes nothing."""
        raise ReadOnly(f"{context.path}: this virtual node cannot be written")
