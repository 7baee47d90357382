"""What an agent cannot see changes nothing of what it gets, and what is forgotten is in no file, nor its vector."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opening import BACKENDS, MINUTE, embed, found, index_of, open_kernel

from avm_builtin.vectors import answer, base, building, renewing
from vfs_core.errors import MissingExtra
from vfs_core.index_check import index_errors
from vfs_core.kernel import Kernel
from vfs_core.testing.word_embedder import WordEmbedder

WORDS = ("walrus", "seal", "penguin", "ice", "sea", "boat", "局势", "天气")
QUERIES = ("walrus ice", "局势 天气", "penguin sea boat")
SECRET = "quetzalcoatlus zyzzyvas geheimplan"
TITLE = "Etikettchen"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "TAIL_MOST", 100)
    monkeypatch.setattr(answer, "_FEW", 50)
    monkeypatch.setattr(answer, "_FIRST", 20)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "avm.db"


def notes(place: str, count: int, seed: int) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    return [(f"{place}/{number}.md", " ".join(dice.choices(WORDS, k=5))) for number in range(count)]


# --- what is hidden ------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_ten_thousand_private_notes_change_nothing_for_others(db: Path, backend: str) -> None:
    with open_kernel(db, backend) as kernel:
        kuro, akashi = kernel.session("kuro"), kernel.session("akashi")
        kuro.write_many([*notes("/memory/shared", 300, 1), *notes("/private", 100, 2)])
        embed(kernel)
        before = [found(kuro, query) for query in QUERIES]
        hits = [[hit.path for hit in kuro.search(query, 20, "semantic")] for query in QUERIES]
        counts = index_of(kernel).embedded(kuro.judge.visible())
        for start in range(0, 10_000, 1000):
            akashi.write_many(
                [
                    (f"/private/{start}/{path[8:]}", f"{text} {start}")
                    for path, text in notes("/private", 1000, start)
                ]
            )
        akashi.write("/private/same.md", "walrus ice")
        embed(kernel)
        assert len(found(akashi, "walrus")) == 10_301
        after = [found(kuro, query) for query in QUERIES]
        if backend == "sq8":  # codes are made for all vectors: docs/security.md
            for one, other in zip(before, after, strict=True):
                assert dict(one) == pytest.approx(dict(other), abs=0.1)
        else:
            assert after == before
            assert [[hit.path for hit in kuro.search(query, 20, "semantic")] for query in QUERIES] == hits
        assert index_of(kernel).embedded(kuro.judge.visible()) == counts
    with open_kernel(db, backend) as kernel:
        assert [found(kernel.session("kuro"), query) for query in QUERIES] == after


def test_answers_do_not_depend_on_how_the_index_came_about(db: Path) -> None:
    """The sample that scores are told against is of the notes, not of their order in base and tail."""
    with open_kernel(db) as kernel, open_kernel(db, "flat") as other:
        session = kernel.session("owner")
        texts = [(path, f"{text} {path}") for path, text in notes("/memory/shared", 5000, 1)]
        session.write_many(texts[:3000])
        embed(kernel)
        session.write_many(texts[3000:])
        embed(kernel)
        session.write_many([(path, f"{text} again") for path, text in texts[::2]])
        embed(kernel)
        followed = [found(session, query) for query in QUERIES]
        assert [found(other.session("owner"), query) for query in QUERIES] == followed
        index_of(kernel).settle(kernel.semantic())  # type: ignore[arg-type]
        assert [found(session, query) for query in QUERIES] == followed
        runner = kernel.semantic()
        assert runner is not None
        runner.rebuild_anew()
        embed(kernel)
        assert [found(session, query) for query in QUERIES] == followed


# --- what is forgotten ---------------------------------------------------------------------------


def vector_bytes(text: str, model: str = "words-64") -> list[bytes]:
    """A vector as any file may have it."""
    vector = np.array(WordEmbedder({"fingerprint": model}).encode([text], "document"))[0]
    return [
        vector.astype(np.float16).tobytes(),
        vector.astype(np.float32).tobytes(),
        vector.astype(np.float16).astype(np.float32).tobytes(),
    ]


def left(db: Path, needles: Sequence[bytes]) -> set[str]:
    """Files that have any of these."""
    return {
        path.name
        for path in db.parent.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    }


SECRETS = [
    *(word.encode() for word in SECRET.split()),
    TITLE.encode(),
    *vector_bytes(f"{TITLE}\n{SECRET}"),
    *vector_bytes(f"{TITLE}\n{SECRET}", "another"),
]


@pytest.fixture
def with_secret(db: Path) -> Iterator[Kernel]:
    """A note that is in the base and, edited, in the tail; by two models and two backends."""
    with open_kernel(db) as kernel:
        session = kernel.session("owner")
        session.write_many(notes("/memory/shared", 300, 1))
        session.write("/private/secret.md", SECRET, {"title": TITLE})
        embed(kernel)
        for backend, model in (("flat", "words-64"), ("sqlite", "another")):
            with open_kernel(db, backend, fingerprint=model) as other:
                embed(other)
                assert len(found(other.session("owner"), "walrus")) == 301
        session.search("walrus", mode="semantic")
        yield kernel


def test_of_a_forgotten_note_no_file_has_the_text_or_the_vector(db: Path, with_secret: Kernel) -> None:
    session = with_secret.session("owner")
    assert len({name.split(".db")[0] for name in left(db, SECRETS)}) >= 3, "else this proves nothing"
    assert any(name.endswith(".vectors") for name in left(db, SECRETS))
    embedder = with_secret.embedder()
    assert isinstance(embedder, WordEmbedder)
    embedder.embedded.clear()
    done = session.forget_for_good("/private/secret.md")
    assert done.scrubbed
    assert left(db, SECRETS) == set()
    assert with_secret.session().traces(done.texts) == []
    assert len(found(session, "walrus")) == 300
    embed(with_secret)
    assert left(db, SECRETS) == set()
    assert not embedder.embedded, "what is not forgotten keeps its vectors"


def test_without_a_model_the_vectors_of_others_go(
    db: Path, with_secret: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secret.close()
    monkeypatch.setenv("AVM_EMBEDDER", "none")
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        with pytest.raises(MissingExtra):
            session.search("walrus", mode="semantic")
        assert session.forget_for_good("/private/secret.md").scrubbed
        assert left(db, SECRETS) == set()
    with open_kernel(db) as kernel:
        embed(kernel)
        assert len(found(kernel.session("owner"), "walrus")) == 300


def test_a_base_that_is_made_while_something_is_forgotten_does_not_bring_it_back(
    db: Path, with_secret: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = building.build
    session = with_secret.session("owner")
    forgotten = []

    def build_slowly(*arguments: object) -> object:
        generation = build(*arguments)  # type: ignore[arg-type]
        assert left(db, vector_bytes(f"{TITLE}\n{SECRET}")), "it has been written"
        if not forgotten:
            forgotten.append(session.forget_for_good("/private/secret.md"))
        return generation

    monkeypatch.setattr(building, "build", build_slowly)
    index_of(with_secret).settle(with_secret.semantic())  # type: ignore[arg-type]
    session.write_many(notes("/memory/d", 300, 5))
    embed(with_secret)
    assert forgotten[0].scrubbed
    assert left(db, SECRETS) == set()
    assert len(found(session, "walrus")) == 600


def test_a_base_that_is_written_after_something_was_forgotten_does_not_count(
    db: Path, with_secret: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = base.write
    session = with_secret.session("owner")
    forgotten = []

    def write_late(*arguments: Any) -> None:
        *rest, blocks = arguments
        read = list(blocks)
        if not forgotten:
            forgotten.append(session.forget_for_good("/private/secret.md"))
        write(*rest, iter(read))

    monkeypatch.setattr(base, "write", write_late)
    index_of(with_secret).settle(with_secret.semantic())  # type: ignore[arg-type]
    session.write_many(notes("/memory/d", 300, 5))
    embed(with_secret)
    assert forgotten[0].scrubbed
    assert left(db, SECRETS) == set()
    assert len(found(session, "walrus")) == 600


def test_another_process_with_another_model_goes_on_after_something_was_forgotten(
    db: Path, with_secret: Kernel
) -> None:
    with open_kernel(db, fingerprint="another") as other:
        assert len(found(other.session("owner"), "walrus")) == 301
        with_secret.session("owner").forget_for_good("/private/secret.md")
        assert left(db, SECRETS) == set()
        other.session("owner").search("walrus", mode="semantic")
        embed(other)
        assert len(found(other.session("owner"), "walrus")) == 300
        assert left(db, SECRETS) == set()


def test_what_is_only_edited_is_forgotten_by_scrubbing(db: Path, with_secret: Kernel) -> None:
    session = with_secret.session("owner")
    session.write("/private/secret.md", "walrus")
    session.update_meta("/private/secret.md", {"title": None})
    assert session.scrub()
    embed(with_secret)
    files = left(db, vector_bytes(f"{TITLE}\n{SECRET}"))
    assert files == set()


# --- doctor --------------------------------------------------------------------------------------


def damage(kernel: Kernel, statement: str) -> None:
    file = index_of(kernel)._file  # type: ignore[attr-defined]
    with file.writing() as connection:
        connection.execute(statement)


def test_notes_that_the_index_lacks_or_should_not_have_are_found_and_mended(db: Path) -> None:
    with open_kernel(db) as kernel:
        session = kernel.session()
        session.write_many(notes("/memory/shared", 20, 1))
        session.write("/memory/gone.md", "gone")
        gone = session.stat("/memory/gone.md").id
        session.delete("/memory/gone.md")
        embed(kernel)
        runner = kernel.semantic()
        assert runner is not None
        assert not index_errors(runner)
        node = session.stat("/memory/shared/3.md").id
        for table, column in (("node", "id"), ("name", "node"), ("chunk", "node")):
            damage(kernel, f"UPDATE {table} SET {column} = {gone} WHERE {column} = {node}")
        assert index_errors(runner) == ({node}, {gone})
        assert session.mend() == {"notes in the index of meanings": 2}
        assert not index_errors(runner)
        embed(kernel)
        assert len(found(session, "walrus")) == 20


def test_what_has_expired_is_neither_lacking_nor_surplus(db: Path) -> None:
    with open_kernel(db) as kernel:
        session = kernel.session()
        session.write_many(notes("/memory/shared", 20, 1))
        runner = kernel.semantic()
        assert runner is not None
        runner.catch_up(MINUTE)
        session.set_expiry("/memory/shared/3.md", time.time_ns() + 10**8)
        session.set_expiry("/memory/shared/4.md", 1)
        runner.catch_up(MINUTE)
        time.sleep(0.15)
        embed(kernel)
        assert not index_errors(runner)
        assert len(found(session, "walrus")) == 18
