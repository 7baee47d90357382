"""The contract of the index that finds notes by what they mean.

It follows the journal as a search index does, and knows besides which parts of which notes still wait to be
embedded. Embedding takes long and goes on beside searching: what waits is found by its words meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vfs_core.embedding import Embedder
from vfs_core.follower import Follower, Progress, Runner
from vfs_core.search import SideContext
from vfs_core.types import JSON
from vfs_core.vectors import VectorBackend
from vfs_core.visibility import Visible

KIND = "vectors"
"""The files of an index stand beside the store and are called `<store>.vectors.<model>.` and more."""


def files_of_all(path: str | None) -> list[str]:
    """The files of the indexes of all models, without their leases, by the path in their SideContext."""
    if path is None:
        return []
    place = Path(path)
    found = sorted(place.parent.glob(f"{place.name}.{KIND}.*"))
    return [str(each) for each in found if each.suffix != ".lease"]


def remove_files(paths: Sequence[str]) -> None:
    """Remove files of an index: what belongs to a database before it, or its successor would take it for its own."""
    for path in sorted(paths, reverse=True):
        with suppress(FileNotFoundError):
            Path(path).unlink()


class Near(NamedTuple):
    """A node by its part that is nearest to a query.

    `directory` is that of the name which was visible. `score` counts standard deviations above what the agent's notes
    of the same scale (`Embedder.scale`) have with this query. The part is `length` characters of the body from
    `start` on.
    """

    node: int
    directory: int
    score: float
    start: int
    length: int


class Embedded(NamedTuple):
    """How many notes that the agent can see are embedded, of how many that have text."""

    done: int
    total: int

    @property
    def waiting(self) -> int:
        """How many are not yet."""
        return self.total - self.done


class Answer(ABC):
    """What an index has for one query."""

    @abstractmethod
    def nearest(self) -> Iterator[Near]:
        """Visible nodes, the nearest first, each once; all that are embedded in the end."""

    @abstractmethod
    def of(self, nodes: Sequence[int]) -> Mapping[int, Near]:
        """Those of these nodes that are visible and embedded."""


class Model(NamedTuple):
    """An embedder by the name and the options that make it, and its fingerprint."""

    fingerprint: str
    name: str
    config: Mapping[str, JSON]


@dataclass(frozen=True)
class SemanticContext:
    """What an index is made with. `embedder` has more than 0 dimensions; `model` says how to make it again."""

    side: SideContext
    embedder: Embedder
    backend: VectorBackend
    model: Model


class SemanticIndex(Follower):
    """An index over the store's notes by what they mean. Made with a SemanticContext; opens its files on first use."""

    def __init__(self, context: SemanticContext) -> None:
        self.context = context

    @abstractmethod
    def ask(self, text: str, visible: Visible) -> Answer:
        """Embed a query and compare it with what the agent can see. Raises PluginError if the model cannot be used."""

    @abstractmethod
    def embed(self, runner: Runner[Follower], seconds: float, progress: Progress | None = None) -> int:
        """Embed what waits, the newest first, for about so many seconds; returns how many parts wait still.

        `runner` is the one that keeps this index up with its store. Nothing is done while another process does it.
        `progress` is called after every batch, and now and then while files are made of it: what it raises ends this,
        and nothing is lost.
        """

    def settle(self, runner: Runner[Follower]) -> None:
        """Write now what is written once in a while only, so that other processes begin quickly."""
        return

    @abstractmethod
    def waiting(self) -> int:
        """How many parts of notes are not embedded."""

    @abstractmethod
    def embedded(self, visible: Visible) -> Embedded:
        """How far embedding has come, as far as an agent can see it."""

    @abstractmethod
    def indexed(self, nodes: Sequence[int]) -> set[int]:
        """Which of the nodes the index has, embedded or not."""

    def former(self) -> list[Model]:
        """Models by which everything in the store has been embedded, the latest first: while this one's embedding is
        not far, they find more."""
        return []
