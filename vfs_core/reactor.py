"""What a registered follower of the journal is made with, and how one that changes the store is told from the rest.

Most followers only derive: they write files of their own and never the store. A *reactor* answers changes of the
store with changes of its own (links from what notes say, for instance). It makes them through sessions that it is
handed here, whose door names it, so that everybody can tell its rows: it skips them itself, and undo passes over them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs_core.search import SideContext
from vfs_core.types import Change

if TYPE_CHECKING:
    from vfs_core.session import Session

LINKS = "links"
"""The name of the follower that makes links of what notes say."""
_DOOR = "follower:"


def door_of(follower: str) -> str:
    """The door of what a follower does."""
    return _DOOR + follower


def by_reactor(change: Change) -> bool:
    """Whether a row of the journal is a reactor's answer to another one."""
    return change.door.startswith(_DOOR)


@dataclass(frozen=True)
class FollowerContext:
    """What a follower is made with: where it keeps its files, and how it acts where it is a reactor.

    `act_for` gives the session of an agent whose changes the follower answers: what it does there is judged as that
    agent's, and journalled as done for it by the follower.
    """

    side: SideContext
    act_for: Callable[[str], Session]
