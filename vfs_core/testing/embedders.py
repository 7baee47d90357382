"""The conformance suite of the embedder contract (`vfs_core.embedding`): override `embedder`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import math
import os
import time
import warnings
from typing import Literal, cast

import pytest

from vfs_core.embedding import Embedder
from vfs_core.testing.store_contents import in_threads

TEXTS = (
    "The central bank raised its rates.",
    "中东局势紧张",
    "a",
    "",
    " \n\t",
    "word " * 5000,
    "\0\u202e😀",
)
CLOSE = 1e-4
"""How far a component may differ between two runs: batches are summed in another order."""
PATIENCE = 60.0
"""Seconds that a forked child may take; one that waits for threads of its parent takes for ever."""


def rows(view: memoryview) -> list[list[float]]:
    """The vectors as lists."""
    return cast("list[list[float]]", view.tolist())


class EmbedderTests:
    """Vectors of one length, the same for the same text, whatever else is in the batch."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        """An instance; where loading takes long, one for the whole class."""
        raise NotImplementedError("override the fixture `embedder`")

    def test_it_says_which_vectors_it_makes(self, embedder: Embedder) -> None:
        assert isinstance(embedder.fingerprint, str)
        assert embedder.fingerprint
        assert embedder.dimensions > 0
        assert sum(embedder.parts) in (0, embedder.dimensions)

    @pytest.mark.parametrize("kind", ("query", "document"))
    def test_vectors_are_unit_length_floats(
        self, embedder: Embedder, kind: Literal["query", "document"]
    ) -> None:
        view = embedder.encode(TEXTS, kind)
        assert (view.format, view.shape) == ("f", (len(TEXTS), embedder.dimensions))
        assert view.c_contiguous
        for text, vector in zip(TEXTS, rows(view), strict=True):
            assert all(map(math.isfinite, vector)), text[:20]
            assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-3), text[:20]

    def test_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        assert embedder.encode([], "document").nbytes == 0

    def test_a_vector_does_not_depend_on_its_batch(self, embedder: Embedder) -> None:
        together = rows(embedder.encode(TEXTS, "document"))
        for text, expected in zip(TEXTS, together, strict=True):
            alone = rows(embedder.encode([text], "document"))[0]
            assert max(abs(a - b) for a, b in zip(alone, expected, strict=True)) < CLOSE, text[:20]

    def test_different_texts_have_different_vectors(self, embedder: Embedder) -> None:
        bank, war = rows(embedder.encode(TEXTS[:2], "document"))
        assert sum(a * b for a, b in zip(bank, war, strict=True)) < 0.999

    def test_every_document_is_on_a_scale(self, embedder: Embedder) -> None:
        assert all(isinstance(embedder.scale(text), str) for text in TEXTS)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_child_encodes_what_its_parent_does(self, embedder: Embedder) -> None:
        expected = rows(embedder.encode(TEXTS[:2], "document"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                found = rows(embedder.encode(TEXTS[:2], "document"))
                near = all(math.dist(a, b) < CLOSE * len(a) for a, b in zip(found, expected, strict=True))
                code = 0 if near else 2
            finally:
                os._exit(code)
        deadline = time.monotonic() + PATIENCE
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        if ended[0] == 0:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail(f"the child still waits after {PATIENCE:.0f} s")
        assert os.waitstatus_to_exitcode(ended[1]) == 0
        assert rows(embedder.encode(TEXTS[:1], "document"))

    def test_several_threads_encode_at_once(self, embedder: Embedder) -> None:
        expected = rows(embedder.encode(TEXTS[:1], "query"))[0]

        def work(_name: int) -> None:
            found = rows(embedder.encode(TEXTS[:1], "query"))[0]
            assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < CLOSE

        in_threads(4, work)
