"""A backend of vectors in plain Python: the contract once more (`vfs_core.vectors`), for tests of what uses one."""

# ruff: noqa: D102  # the contract documents its methods

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from operator import mul
from pathlib import Path
from typing import cast

from vfs_core.vectors import BadVectors, VectorBackend, Vectors


class PlainMatrix(Vectors):
    """Vectors in lists."""

    def __init__(self, matrix: Sequence[Sequence[float]]) -> None:
        self._matrix = matrix
        self.count = len(matrix)

    def scores(self, query: memoryview, rows: memoryview | None) -> memoryview:
        asked = query.tolist()
        wanted = range(self.count) if rows is None else rows.tolist()
        return memoryview(array("f", [sum(map(mul, self._matrix[row], asked)) for row in wanted]))

    def rows(self, numbers: memoryview) -> memoryview:
        wanted = numbers.tolist()
        flat = array("f", [value for row in wanted for value in self._matrix[row]])
        dimensions = len(self._matrix[0]) if self._matrix else 1
        shaped = memoryview(flat).cast("B")
        return cast("memoryview", shaped.cast("f", (len(wanted), dimensions)) if wanted else shaped)

    def nearest(
        self, query: memoryview, count: int, among: memoryview
    ) -> tuple[memoryview, memoryview] | None:
        scores = self.scores(query, None).tolist()
        allowed = [row for row, counts in enumerate(among.tolist()) if counts]
        best = sorted(allowed, key=lambda row: -scores[row])[:count]
        return memoryview(array("q", best)), memoryview(array("f", [scores[row] for row in best]))

    def close(self) -> None:
        self._matrix = []


class PlainVectors(VectorBackend):
    """Keeps a line of JSON for each vector."""

    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        with Path(path).open("w") as file:
            for block in blocks:
                file.writelines(f"{json.dumps(row)}\n" for row in block.tolist())

    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        try:
            matrix = cast(
                "list[list[float]]", [json.loads(line) for line in Path(path).read_bytes().splitlines()]
            )
        except ValueError as error:
            raise BadVectors(f"{path} is damaged: {error}") from error
        if len(matrix) != count or not all(
            isinstance(row, list) and len(row) == dimensions for row in matrix
        ):
            raise BadVectors(f"{path} has not {count} vectors of {dimensions}")
        return PlainMatrix(matrix)
