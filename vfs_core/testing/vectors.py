"""The conformance suite of the vector contract (`vfs_core.vectors`): subclass it, override `backend`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import math
import random
import threading
from array import array
from collections.abc import Iterator, Sequence
from operator import mul
from pathlib import Path
from typing import cast

import pytest

from vfs_core.vectors import BadVectors, VectorBackend, Vectors

DIMENSIONS = 24
Matrix = list[list[float]]


def unit(vector: Sequence[float]) -> list[float]:
    """The vector of length 1."""
    length = math.hypot(*vector)
    return array("f", [each / length for each in vector]).tolist()


def random_vectors(count: int, seed: int = 1) -> Matrix:
    """Unit vectors in any direction."""
    dice = random.Random(seed)
    return [unit([dice.gauss(0, 1) for _ in range(DIMENSIONS)]) for _ in range(count)]


def block(matrix: Matrix) -> memoryview:
    """A part of a matrix as a backend gets it."""
    flat = memoryview(array("f", [each for row in matrix for each in row])).cast("B")
    return cast("memoryview", flat.cast("f", (len(matrix), DIMENSIONS)))


def numbers(values: Sequence[int]) -> memoryview:
    """Numbers of rows as a backend gets them."""
    return memoryview(array("q", values))


def product(one: Sequence[float], other: Sequence[float]) -> float:
    """The inner product."""
    return float(sum(map(mul, one, other)))


class VectorBackendTests:
    """What is written is found again, among the rows that count, and what is no such file is told from one that is."""

    tolerance = 1e-5
    """By how much a score may be off: of vectors that are kept in fewer bits, more."""
    recall = 1.0
    """Which share of the nearest `nearest` finds at least."""

    @pytest.fixture
    def backend(self) -> VectorBackend:
        """The backend, with the options that are tested."""
        raise NotImplementedError("override the fixture `backend`")

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        """Where a file may be written."""
        return str(tmp_path / "some.vectors")

    def written(self, backend: VectorBackend, path: str, matrix: Matrix, size: int = 100) -> Vectors:
        """A matrix, written in blocks of so many and opened."""
        blocks = (block(matrix[start : start + size]) for start in range(0, len(matrix), size))
        backend.write(path, len(matrix), DIMENSIONS, blocks)
        return backend.open(path, len(matrix), DIMENSIONS)

    def nearest(
        self, vectors: Vectors, query: Sequence[float], count: int, among: Sequence[int]
    ) -> list[tuple[int, float]] | None:
        """What `nearest` says, in pairs."""
        mask = bytearray(vectors.count)
        for row in among:
            mask[row] = 1
        found = vectors.nearest(memoryview(array("f", query)), count, memoryview(mask))
        if found is None:
            return None
        assert (found[0].format, found[1].format) == ("l", "f") or found[0].itemsize == 8
        return list(zip(found[0].tolist(), found[1].tolist(), strict=True))

    # --- scores ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("count", (1, 2, 7, 300, 1500))
    def test_scores_are_inner_products(self, backend: VectorBackend, path: str, count: int) -> None:
        matrix = random_vectors(count)
        vectors = self.written(backend, path, matrix)
        assert vectors.count == count
        for query in random_vectors(3, 2):
            asked = memoryview(array("f", query))
            scores = vectors.scores(asked, None)
            assert (scores.format, scores.shape) == ("f", (count,))
            expected = [product(row, query) for row in matrix]
            assert scores.tolist() == pytest.approx(expected, abs=self.tolerance)
            for rows in ([], [0], [count - 1, 0, count - 1], list(range(0, count, 3))):
                some = vectors.scores(asked, numbers(rows))
                assert some.shape == (len(rows),)
                assert some.tolist() == pytest.approx([expected[row] for row in rows], abs=self.tolerance)
        vectors.close()

    @pytest.mark.parametrize("size", (1, 3, 100, 1000))
    def test_how_the_vectors_come_makes_no_difference(
        self, backend: VectorBackend, path: str, size: int
    ) -> None:
        matrix = random_vectors(120)
        query = memoryview(array("f", random_vectors(1, 2)[0]))
        vectors = self.written(backend, path, matrix, size)
        expected = [product(row, query.tolist()) for row in matrix]
        assert vectors.scores(query, None).tolist() == pytest.approx(expected, abs=self.tolerance)

    def test_a_row_scores_the_same_whatever_it_is_asked_with(self, backend: VectorBackend, path: str) -> None:
        """Who sees less asks for fewer rows: what the others are must not show."""
        matrix = random_vectors(700)
        matrix[600] = matrix[3]
        vectors = self.written(backend, path, matrix)
        query = memoryview(array("f", random_vectors(1, 2)[0]))
        scores = vectors.scores(query, None).tolist()
        assert scores[600] == scores[3]
        for rows in (range(700), range(699), range(1, 700), range(3, 700, 3), [3], [600, 3]):
            assert vectors.scores(query, numbers(list(rows))).tolist() == [scores[row] for row in rows]

    def test_rows_come_as_they_are_kept(self, backend: VectorBackend, path: str) -> None:
        matrix = random_vectors(20)
        vectors = self.written(backend, path, matrix)
        kept = vectors.rows(numbers([3, 0, 3]))
        assert (kept.format, kept.shape) == ("f", (3, DIMENSIONS))
        for row, vector in zip((3, 0, 3), cast("Matrix", kept.tolist()), strict=True):
            assert product(vector, matrix[row]) == pytest.approx(1.0, abs=self.tolerance)
        vectors.close()

    def test_there_may_be_none(self, backend: VectorBackend, path: str) -> None:
        vectors = self.written(backend, path, [])
        query = random_vectors(1)[0]
        assert vectors.count == 0
        assert vectors.scores(memoryview(array("f", query)), None).tolist() == []
        assert vectors.scores(memoryview(array("f", query)), numbers([])).tolist() == []
        assert self.nearest(vectors, query, 5, []) in ([], None)
        vectors.close()

    # --- the nearest -----------------------------------------------------------------------------

    @pytest.mark.parametrize("count", (1, 10, 200, 5000))
    def test_the_nearest_are_found_best_first(self, backend: VectorBackend, path: str, count: int) -> None:
        matrix = random_vectors(1500)
        vectors = self.written(backend, path, matrix)
        self.check(vectors, matrix, count, list(range(1500)))

    @pytest.mark.parametrize("step", (2, 3, 7, 100, 1499))
    def test_only_rows_that_count_are_found(self, backend: VectorBackend, path: str, step: int) -> None:
        matrix = random_vectors(1500)
        vectors = self.written(backend, path, matrix)
        for count in (1, 20, 2000):
            self.check(vectors, matrix, count, list(range(0, 1500, step)))

    @pytest.mark.parametrize("only", ([], [0], [1499], [8, 15, 16]))
    def test_few_or_none_may_count(self, backend: VectorBackend, path: str, only: list[int]) -> None:
        matrix = random_vectors(1500)
        self.check(self.written(backend, path, matrix), matrix, 10, only)

    def test_those_that_count_are_found_however_much_nearer_others_are(
        self, backend: VectorBackend, path: str
    ) -> None:
        query, other = random_vectors(2, 2)
        dice = random.Random(3)
        crowd = [unit([each + dice.gauss(0, 0.01) for each in query]) for _ in range(1000)]
        far = [unit([each + dice.gauss(0, 0.5) for each in other]) for _ in range(30)]
        matrix = [*crowd[:500], *far, *crowd[500:]]
        vectors = self.written(backend, path, matrix)
        found = self.nearest(vectors, query, 10, range(500, 530))
        assert found is None or {row for row, _ in found} <= set(range(500, 530))
        if found is not None:
            assert len(found) >= 10 * self.recall

    def test_the_same_vector_many_times_is_found_as_often(self, backend: VectorBackend, path: str) -> None:
        same, query = random_vectors(2)
        matrix = [same] * 300
        vectors = self.written(backend, path, matrix)
        found = self.nearest(vectors, query, 50, range(0, 300, 2))
        if found is not None:
            assert len({row for row, _ in found}) == len(found) >= 50 * self.recall
            assert all(row % 2 == 0 for row, _ in found)
            scores = [score for _, score in found]
            assert scores == pytest.approx([product(same, query)] * len(found), abs=self.tolerance)

    def check(self, vectors: Vectors, matrix: Matrix, count: int, among: list[int]) -> None:
        """Look for the nearest of some queries, and compare with looking at all."""
        hits = expected_hits = 0
        for query in random_vectors(5, 2):
            found = self.nearest(vectors, query, count, among)
            if found is None:
                return
            rows, scores = [row for row, _ in found], [score for _, score in found]
            assert set(rows) <= set(among)
            assert len(set(rows)) == len(rows) <= count
            assert scores == sorted(scores, reverse=True)
            assert scores == pytest.approx([product(matrix[row], query) for row in rows], abs=self.tolerance)
            best = sorted((product(matrix[row], query) for row in among), reverse=True)[:count]
            expected_hits += len(best)
            hits += sum(score >= best[-1] - self.tolerance for score in scores) if best else 0
        assert hits >= self.recall * expected_hits

    # --- files -----------------------------------------------------------------------------------

    def test_a_file_can_be_opened_more_than_once_and_removed_meanwhile(
        self, backend: VectorBackend, path: str
    ) -> None:
        matrix = random_vectors(300)
        one = self.written(backend, path, matrix)
        other = backend.open(path, 300, DIMENSIONS)
        query = memoryview(array("f", matrix[7]))
        one.close()
        Path(path).unlink()
        assert other.scores(query, numbers([7])).tolist() == pytest.approx([1.0], abs=self.tolerance)
        other.close()

    def test_several_open_ones_are_used_by_a_thread_each(self, backend: VectorBackend, path: str) -> None:
        matrix = random_vectors(300)
        self.written(backend, path, matrix).close()
        wrong: list[object] = []

        def ask(row: int) -> None:
            try:
                vectors = backend.open(path, 300, DIMENSIONS)
                for _ in range(20):
                    scores = vectors.scores(memoryview(array("f", matrix[row])), None).tolist()
                    if abs(scores[row] - 1) > self.tolerance:
                        wrong.append(scores[row])
                    self.nearest(vectors, matrix[row], 5, range(100))
            except Exception as error:  # noqa: BLE001  # reported by the assertion below
                wrong.append(error)

        threads = [threading.Thread(target=ask, args=(row,)) for row in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_a_file_that_is_not_there_is_not_found(self, backend: VectorBackend, path: str) -> None:
        with pytest.raises(FileNotFoundError):
            backend.open(path, 3, DIMENSIONS)

    def test_where_nothing_can_be_written_it_says_so(self, backend: VectorBackend, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r".+"):
            backend.write(str(tmp_path / "no" / "where"), 3, DIMENSIONS, [block(random_vectors(3))])

    @pytest.mark.parametrize("share", (0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999))
    def test_a_file_that_is_cut_off_is_bad(self, backend: VectorBackend, path: str, share: float) -> None:
        self.written(backend, path, random_vectors(300)).close()
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(BadVectors):
            backend.open(path, 300, DIMENSIONS)

    @pytest.mark.parametrize(
        ("count", "dimensions"),
        ((299, DIMENSIONS), (301, DIMENSIONS), (300, DIMENSIONS + 1), (0, DIMENSIONS)),
    )
    def test_a_file_of_other_vectors_is_bad(
        self, backend: VectorBackend, path: str, count: int, dimensions: int
    ) -> None:
        self.written(backend, path, random_vectors(300)).close()
        with pytest.raises(BadVectors):
            backend.open(path, count, dimensions)

    @pytest.mark.parametrize(
        "data", (b"", b"x", b"SQLite format 3\0" * 500, bytes(100_000), b"\xff" * 30_000)
    )
    def test_a_file_of_another_kind_is_bad(self, backend: VectorBackend, path: str, data: bytes) -> None:
        Path(path).write_bytes(data)
        with pytest.raises(BadVectors):
            backend.open(path, 300, DIMENSIONS)

    def test_garbage_is_bad_whatever_its_size(self, backend: VectorBackend, path: str) -> None:
        self.written(backend, path, random_vectors(300)).close()
        size = Path(path).stat().st_size
        for seed in range(20):
            Path(path).write_bytes(random.Random(seed).randbytes(size))
            with pytest.raises(BadVectors):
                backend.open(path, 300, DIMENSIONS)

    def test_what_is_damaged_inside_ends_in_no_crash(self, backend: VectorBackend, path: str) -> None:
        self.written(backend, path, random_vectors(300)).close()
        whole = Path(path).read_bytes()
        for place in self.places(len(whole)):
            data = bytearray(whole)
            data[place : place + 4] = b"\x7f\xff\xff\xff"
            Path(path).write_bytes(data)
            try:
                vectors = backend.open(path, 300, DIMENSIONS)
            except BadVectors:
                continue
            assert len(vectors.scores(memoryview(array("f", random_vectors(1)[0])), None)) == 300
            vectors.close()

    @staticmethod
    def places(size: int) -> Iterator[int]:
        """Where a file is damaged: all of its beginning, and some of the rest."""
        yield from range(0, min(size, 160), 4)
        yield from random.Random(5).sample(range(size), 20)
