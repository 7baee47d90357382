"""Whatever happens to notes and index, in whatever order: an agent finds what looking at every note would find."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opening import MINUTE, embed, index_of, open_kernel

from avm_builtin.vectors import answer, renewing, work
from avm_builtin.vectors.chunks import chunks_of
from avm_builtin.vectors.scales import standardised
from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing.word_embedder import WordEmbedder
from vfs_core.types import Kind

AGENTS = ("akashi", "kuro", "third")
WORDS = ("walrus", "seal", "penguin", "ice", "sea", "局势", "紧张", "天气")
PLACES = ("/memory/shared", "/memory/d", "/memory/d/e", "/private", "/private/p")
NAMES = ("a", "b", "c", "d")
STEPS = st.lists(st.integers(0, 2**32), min_size=1, max_size=60)
EXAMPLES = 400 if os.environ.get("AVM_SOAK") else 25


class Stopped(Exception):
    pass


class World:
    """Two kernels on one store, as of two processes, and three agents in each."""

    def __init__(self, db: Path, backends: tuple[str, str]) -> None:
        self.db, self.backends = db, backends
        self.kernels = [open_kernel(db, backend) for backend in backends]
        self.done: list[str] = []

    def close(self) -> None:
        for kernel in self.kernels:
            kernel.close()

    def step(self, seed: int) -> None:
        """One change of a note, or of the index."""
        dice = random.Random(seed)
        number = dice.randrange(2)
        kernel, agent = self.kernels[number], dice.choice(AGENTS)
        session = kernel.session(agent)
        path, other = (f"{dice.choice(PLACES)}/{dice.choice(NAMES)}.md" for _ in range(2))
        there = [each.path for each in session.store.scan() if each.stat and each.stat.kind is Kind.FILE]
        gone = [each.path for each in session.trash()]
        if there and dice.random() < 0.6:
            path = dice.choice(there)
        place, elsewhere = dice.choice(PLACES), dice.choice(PLACES)
        text = " ".join(dice.choices(WORDS, k=dice.choice((2, 3, 3, 400))))
        friend = dice.choice(AGENTS)
        title = dice.choice(WORDS)
        steps: dict[str, tuple[int, Callable[[], object]]] = {
            "write": (12, lambda: session.write(path, text)),
            "append": (4, lambda: session.append(path, f"\n{text}")),
            "title": (3, lambda: session.update_meta(path, {"title": title})),
            "delete": (3, lambda: session.delete(path)),
            "delete place": (1, lambda: session.delete(place, recursive=True)),
            "restore": (3, lambda: session.restore(dice.choice(gone or [path]))),
            "rename": (4, lambda: session.rename(path, other, replace=dice.random() < 0.5)),
            "move place": (2, lambda: session.rename(place, f"{elsewhere}/{dice.choice(NAMES)}")),
            "share": (3, lambda: session.share(dice.choice((path, place)), friend, dice.choice(("r", None)))),
            "mode": (3, lambda: session.set_mode(path, dice.choice((0o600, 0o644, 0o666)))),
            "mode of place": (2, lambda: session.set_mode(place, dice.choice((0o700, 0o755, 0o777)))),
            "link": (3, lambda: session.hard_link(path, other)),
            "expire": (1, lambda: session.set_expiry(path, dice.choice((1, None)))),
            "forget": (1, lambda: session.forget_for_good(path)),
            "embed some": (6, lambda: self.embed_some(kernel)),
            "embed": (3, lambda: embed(kernel)),
            "settle": (3, lambda: kernel.semantic() and index_of(kernel).settle(kernel.semantic())),  # type: ignore[arg-type]
            "ask": (4, lambda: self.check(session, text)),
            "restart": (2, lambda: self.restart(number)),
            "rebuild": (1, lambda: kernel.semantic().rebuild()),  # type: ignore[union-attr]
            "anew": (1, lambda: kernel.semantic().rebuild_anew()),  # type: ignore[union-attr]
            "purge": (1, lambda: kernel.tend(0.05)),
        }
        name = dice.choices(list(steps), [weight for weight, _ in steps.values()])[0]
        self.done.append(f"{number} {agent}: {name} {path} {other} {place} {elsewhere} {friend}")
        try:
            steps[name][1]()
        except VfsError as error:
            self.done[-1] += f" -> {type(error).__name__}"

    def embed_some(self, kernel: Kernel) -> None:
        runner = kernel.semantic()
        assert runner is not None
        runner.catch_up(MINUTE)

        def progress(done: int, total: int) -> None:
            if done >= 2:
                raise Stopped

        try:
            index_of(kernel).embed(runner, MINUTE, progress)
        except Stopped:
            return

    def restart(self, number: int) -> None:
        self.kernels[number].close()
        self.kernels[number] = open_kernel(self.db, self.backends[number])

    def check(self, session: Session, query: str) -> None:
        """Compare an answer with looking at every note."""
        runner = session.kernel.semantic()
        assert runner is not None
        assert runner.catch_up(MINUTE) == 0
        visible = session.judge.visible()
        answered = index_of(session.kernel).ask(query, visible)
        nears = list(answered.nearest())
        living = {each.stat.id for each in session.store.scan() if each.stat is not None}
        scores = {near.node: near.score for near in nears if near.node in living}
        expected, waiting = self.expected(session, query)
        history = "\n".join(self.done)
        wrong = {node: (scores.get(node), expected.get(node)) for node in scores.keys() | expected.keys()}
        assert scores == pytest.approx(expected, abs=1e-3), (
            f"{session.principal.agent} {query} {wrong}\n{history}"
        )
        given = [near.score for near in nears]
        assert given == sorted(given, reverse=True), history
        assert len({near.node for near in nears}) == len(nears), history
        assert dict(answered.of([near.node for near in nears])) == {near.node: near for near in nears}
        embedded = index_of(session.kernel).embedded(visible)
        assert (embedded.done, embedded.total) == (
            len(expected.keys() - waiting), len(expected.keys() | waiting)
        ), history  # fmt: skip
        for near in nears:
            if near.node in living:
                names = [each for each in session.store.nodes([near.node]) if each.parent == near.directory]
                assert any((each.within, each.own) in visible for each in names), history

    def expected(self, session: Session, query: str) -> tuple[dict[int, float], set[int]]:
        """Scores by node of what an agent sees and is embedded, and the nodes with parts that wait."""
        store, visible, words = session.store, session.judge.visible(), WordEmbedder()
        file: Any = index_of(session.kernel)._file  # type: ignore[attr-defined]
        with file.reading() as connection:
            rows = connection.execute("SELECT node, start, vector IS NOT NULL FROM chunk").fetchall()
        has = {(node, start): bool(done) for node, start, done in rows}
        asked = np.array(words.encode([query], "query"))[0]
        parts: dict[tuple[int, int], tuple[str, float]] = {}
        sample: dict[str, list[float]] = {}
        counted: set[tuple[tuple[int, int], int]] = set()
        waiting: set[int] = set()
        for found in store.scan(content=True):
            if found.stat is None or found.stat.kind is not Kind.FILE:
                continue
            for chunk in chunks_of(found):
                key = found.stat.id, chunk.start
                assert key in has, "\n".join(self.done)
                if (found.within, found.own) not in visible:
                    continue
                if not has[key]:
                    waiting.add(found.stat.id)
                    continue
                vector = np.array(words.encode([chunk.text], "document"))[0].astype(np.float16)
                scale = words.scale(chunk.text)
                score = float(vector.astype(np.float32) @ asked)
                parts[key] = scale, score
                if (key, found.parent) not in counted:  # two names in one directory are as one
                    counted.add((key, found.parent))
                    sample.setdefault(scale, []).append(score)
        scores: dict[int, float] = {}
        for (node, _), (scale, score) in parts.items():
            own = np.array([score], np.float32)
            standard = float(standardised(own, np.array(sample[scale], np.float32))[0])
            scores[node] = max(standard, scores.get(node, -1e9))
        return scores, waiting


@pytest.mark.parametrize(
    "backends", [("sqlite", "sqlite"), ("flat", "flat"), ("auto", "flat")], ids=lambda pair: "-".join(pair)
)
def test_answers_are_what_looking_at_every_note_gives(
    backends: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "TAIL_MOST", 3)
    monkeypatch.setattr(answer, "_FEW", 4)
    monkeypatch.setattr(answer, "_FIRST", 3)
    monkeypatch.setattr(work, "BATCH", 2)
    monkeypatch.setattr(work, "_LOOK_AHEAD", 4)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def holds(seeds: list[int]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            world = World(Path(directory) / "avm.db", backends)
            try:
                for seed in seeds:
                    world.step(seed)
                for kernel in world.kernels:
                    for agent in AGENTS:
                        for query in ("walrus ice", "局势", "penguin 天气 sea"):
                            world.check(kernel.session(agent), query)
            finally:
                world.close()

    holds()
