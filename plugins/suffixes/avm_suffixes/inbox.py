"""`:inbox`: reserved for the messages of other agents."""

from __future__ import annotations

from typing import NoReturn

from vfs_core.errors import Unsupported
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON


class Inbox(BaseSuffix):
    """Says that there are no messages in this version."""

    read_operation = Operation.STAT
    write_operation = Operation.STAT
    options = ("mark",)

    def read(self, context: SuffixContext) -> str:
        """Raises Unsupported."""
        _refuse()

    def read_json(self, context: SuffixContext) -> JSON:
        """Raises Unsupported."""
        _refuse()

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Raises Unsupported."""
        _refuse()


def _refuse() -> NoReturn:
    raise Unsupported("messages between agents are not available yet in this version of AVM")
