"""Inner products of vectors with a query, the same for a vector whatever others are compared with it.

BLAS sums a row in another order where it stands in another place, so that an agent's scores would change a little
with what others have. This takes no longer: memory is what limits both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def products(matrix: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inner product of each row."""
    result: NDArray[np.float32] = np.einsum("ij,j->i", matrix, query)
    return result
