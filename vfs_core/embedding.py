"""The embedder contract: text to vectors, on this machine, without a network."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

from vfs_core.types import JSON


class Embedder(ABC):
    """An embedding model. Made with the `config` of its section; loads the model on first `encode`.

    `fingerprint` names model, weights, prefix and pooling: vectors of different fingerprints are
    never compared. `dimensions` is the length of a vector; 0: there is no model, and `encode` raises.
    `parts` are the lengths of the vectors of several models that stand side by side in one vector (their
    sum is `dimensions`), so that an index can keep them apart; empty: it is of one model.
    `reason` is a sentence on why this model is the one in use, `advice` what to type for a better one
    (empty: nothing); both are for `avm doctor`.

    An instance is used by several threads at once, and in a forked child after its parent used it.
    """

    fingerprint: str
    dimensions: int
    parts: tuple[int, ...] = ()
    reason: str = ""
    advice: str = ""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        self.config: Mapping[str, JSON] = config or {}

    @abstractmethod
    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        """Unit-length float32 vectors, one per text: a C-contiguous view of shape (len(texts), dimensions).

        What goes beyond the model's window may be left out. The memory needed beside the result does not grow
        with the number of texts.
        """

    def scale(self, text: str) -> str:
        """The name of the scale that the scores of such a document are on.

        A multilingual model gives every text in the language of the query more than any translation, so scores
        compare only among documents of one scale. Whoever ranks normalises them by scale, for example to z-scores
        against a sample of the user's own documents of that scale. A model whose scores all compare has one: "".
        """
        return ""


_made: dict[tuple[type[Embedder], str], Embedder] = {}


def shared(embedder: type[Embedder], config: Mapping[str, JSON]) -> Embedder:
    """The one instance of an embedder with these options in this process: a model is loaded once."""
    key = embedder, json.dumps(dict(config), sort_keys=True)
    known = _made.get(key)
    return known if known is not None else _made.setdefault(key, embedder(config))
