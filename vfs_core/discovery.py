"""The discovery contract: which agent knows about something, without reading what it may not show."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from vfs_core.follower import Follower
from vfs_core.types import Principal
from vfs_core.visibility import Visible


class Expert(NamedTuple):
    """An agent that seems to know: a score in [0, 1] and the paths that the asker may read."""

    agent: str
    score: float
    paths: tuple[str, ...] = ()


class Discovery(Follower):
    """A strategy (an index of topics, a librarian, gossip) that follows the journal."""

    @abstractmethod
    def who_knows(self, topic: str, asker: Principal, visible: Visible, limit: int = 5) -> list[Expert]:
        """Agents that know about `topic`, best first; only what each of them lets `asker` learn."""
