"""Between numpy and the contract: unit length, views, and batches that need little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

_TINY = 1e-12


def cut(text: str, characters: int) -> str:
    """The beginning of a text, so many characters at most, without what C takes for its end.

    A lone surrogate, which no encoder takes, becomes a question mark, as does each NUL a space.
    """
    part = text[:characters]
    return part.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def slices(count: int, size: int) -> Iterator[slice]:
    """`count` things in runs of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def unit_rows(matrix: Matrix) -> Matrix:
    """The rows, each at length 1. A row of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: Matrix = (matrix / np.maximum(lengths, _TINY)).astype(np.float32, copy=False)
    return unit


def encoded(
    texts: Sequence[str], dimensions: int, size: int, encode: Callable[[Sequence[str]], Matrix]
) -> memoryview:
    """The texts' vectors as the contract wants them, made by `encode` from at most `size` texts at a time."""
    import numpy as np

    result = np.empty((len(texts), dimensions), np.float32)
    for run in slices(len(texts), size):
        result[run] = unit_rows(encode(texts[run]))
    return result.data
