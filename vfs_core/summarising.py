"""The summariser contract: several texts to a short one, each sentence with the text that it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vfs_core.types import JSON


class Sentence(NamedTuple):
    """A sentence of a summary. `source` is the position of the text that it comes from, None where it is of several."""

    text: str
    source: int | None = None


class Summariser(ABC):
    """Makes summaries. Made with the `config` of its section, used by several threads at once.

    It is given texts of one readership only, and what it gives is shown to the same readers: it must not keep what
    it has seen. A summariser that sends texts elsewhere has to say so in its documentation.
    """

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        self.config: Mapping[str, JSON] = config or {}

    @abstractmethod
    def summarise(self, texts: Sequence[str], budget: int) -> Sequence[Sentence]:
        """What the texts, in order of time, say: at most `budget` characters, in the order in which it is to be read.

        None where there is nothing to say. The same texts should give the same summary.
        """
