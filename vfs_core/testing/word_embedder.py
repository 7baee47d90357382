"""An embedder without a model: texts with words in common are near. It counts what it has embedded, for tests."""

# ruff: noqa: D102  # the contract (`vfs_core.embedding`) documents its methods

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from vfs_core.embedding import Embedder
from vfs_core.types import JSON

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
_CHINESE = re.compile("[\u3400-\u9fff]")
_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_BIAS = 1.0


class WordEmbedder(Embedder):
    """Every word adds to two of 64 dimensions. Two scales: Chinese texts have a part in common, like with real models.

    `embedded` counts how often each document was. The option `fingerprint` makes it another model.
    """

    dimensions = 64

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self.fingerprint = str(self.config.get("fingerprint", "words-64"))
        self.embedded: Counter[str] = Counter()

    def encode(self, texts: Sequence[str], kind: Literal["query", "document"]) -> memoryview:
        if kind == "document":
            self.embedded.update(texts)
        vectors = array("f")
        for text in texts:
            vectors.extend(self._vector(text))
        flat = memoryview(vectors).cast("B")
        return cast("memoryview", flat.cast("f", (len(texts), self.dimensions))) if texts else flat

    def scale(self, text: str) -> str:
        return "zh" if _CHINESE.search(text) else ""

    def _vector(self, text: str) -> list[float]:
        places = [0.0] * self.dimensions
        places[0] = _BIAS if _CHINESE.search(text) else 0.1
        for word in _WORD.findall(text.casefold()):
            number = int.from_bytes(word.encode("utf-8", "surrogatepass"), "big") + len(self.fingerprint)
            for seed in _SEEDS:
                places[number * seed % 0xFFFFFFFB % (self.dimensions - 1) + 1] += 1
        length = math.hypot(*places)
        return [place / length for place in places]
