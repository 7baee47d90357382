"""The conformance suite of the semantic index (`vfs_core.semantic`): subclass it, override `make_index`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vfs_core.embedding import Embedder
from vfs_core.errors import VfsError
from vfs_core.follower import Lease, Runner
from vfs_core.journal import Cursor
from vfs_core.search import SideContext
from vfs_core.semantic import Model, Near, SemanticContext, SemanticIndex
from vfs_core.storage import Store, allow_all
from vfs_core.testing.memory_store import FOUNDER, MemoryStore
from vfs_core.testing.plain_vectors import PlainVectors
from vfs_core.testing.search import change, put_if_possible, visible_to
from vfs_core.testing.store_help import AKASHI, KURO, everything, id_of, put
from vfs_core.testing.store_model import Dice
from vfs_core.testing.word_embedder import WordEmbedder
from vfs_core.types import Kind
from vfs_core.vectors import VectorBackend
from vfs_core.visibility import Visible

MakeIndex = Callable[[SemanticContext], SemanticIndex]
NOBODY = Visible(frozenset(), frozenset(), frozenset(), frozenset(), 0)
AGENTS = ("akashi", "kuro", "third")
WORDS = ("walrus", "seal", "penguin", "ice", "sea", "boat", "局势", "紧张", "天气")
MINUTE = 60.0


class Library:
    """An index that is kept up with a store and embeds everything, asked in paths."""

    def __init__(self, store: Store, index: SemanticIndex) -> None:
        self.store = store
        self.index = index
        self.runner = Runner(store, index, Lease(None))

    def embed(self) -> None:
        """Take in what is new, and embed all that waits."""
        assert self.runner.catch_up(MINUTE) == 0
        assert self.index.embed(self.runner, MINUTE) == 0
        assert self.index.waiting() == 0

    def nears(self, text: str, agent: str = "akashi") -> list[Near]:
        """All that an agent finds, once everything is embedded."""
        self.embed()
        return list(self.index.ask(text, visible_to(self.store, agent)).nearest())

    def find(self, text: str, agent: str = "akashi") -> list[str]:
        """Its paths, best first."""
        return [self.path(near) for near in self.nears(text, agent)]

    def scores(self, text: str, agent: str = "akashi") -> dict[str, float]:
        """Its scores by path."""
        return {self.path(near): near.score for near in self.nears(text, agent)}

    def path(self, near: Near) -> str:
        """The first name of what was found, in the directory that the index says."""
        found = self.store.nodes([near.node])
        paths = sorted(each.path for each in found if each.parent == near.directory)
        assert paths, f"{near} has no name in that directory"
        return paths[0]


def context_of(side: SideContext, embedder: Embedder, backend: VectorBackend) -> SemanticContext:
    """What an index is made with."""
    model = Model(embedder.fingerprint, "words", embedder.config)
    return SemanticContext(side, embedder, backend, model)


class SemanticIndexTests:
    """Whatever the index: what is embedded is found, by who may see it and by nobody else, and nothing twice."""

    tolerance = 1e-3
    """By how much scores of the same notes may differ between two indexes that came about in different ways."""

    shift = 0.0
    """By how much what an agent cannot see may shift scores: where vectors are kept as codes made for all of them."""

    @pytest.fixture
    def make_index(self) -> MakeIndex:
        """Makes an index from a SemanticContext: the class itself, mostly."""
        raise NotImplementedError("override the fixture `make_index`")

    @pytest.fixture
    def backend(self) -> VectorBackend:
        """What the index finds the nearest vectors with."""
        return PlainVectors()

    @pytest.fixture
    def embedder(self) -> WordEmbedder:
        """A toy model, which counts what it embeds."""
        return WordEmbedder()

    @pytest.fixture
    def store(self) -> Store:
        """What is indexed."""
        return MemoryStore(FOUNDER)

    @pytest.fixture
    def context(
        self, store: Store, embedder: WordEmbedder, backend: VectorBackend, tmp_path: Path
    ) -> SemanticContext:
        """Side files in a directory of their own."""
        return context_of(SideContext(str(tmp_path / "avm"), store.uuid), embedder, backend)

    @pytest.fixture
    def library(self, store: Store, make_index: MakeIndex, context: SemanticContext) -> Library:
        """An index that follows the store."""
        return Library(store, make_index(context))

    def renewed(self, library: Library) -> None:
        """Called by tests between changes: where an index makes files now and then, it may do so here."""
        library.embed()

    # --- finding ---------------------------------------------------------------------------------

    def test_the_nearest_comes_first(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", b"a walrus on the ice")
        put(store, "/memory/b.md", b"boats on the sea")
        put(store, "/memory/c.md", b"nothing of the kind")
        for query, path in (("walrus ice", "a"), ("sea boats", "b"), ("kind nothing", "c")):
            assert library.find(query)[0] == f"/memory/{path}.md"

    def test_all_are_found_in_the_end_and_each_once(self, store: Store, library: Library) -> None:
        many(store, 700)
        nears = library.nears("walrus ice")
        nodes = [near.node for near in nears]
        assert len(set(nodes)) == len(nodes) == 700
        scores = [near.score for near in nears]
        assert scores == sorted(scores, reverse=True)
        some = list(
            itertools.islice(library.index.ask("walrus ice", visible_to(store, "akashi")).nearest(), 7)
        )
        assert some == nears[:7]

    def test_those_asked_for_by_node_have_the_scores_that_they_have_among_all(
        self, store: Store, library: Library
    ) -> None:
        many(store, 300)
        put(store, "/memory/private/kuro/a.md", b"walrus", KURO)
        put(store, "/memory/long.md", long_note("walrus"))
        nears = {near.node: near for near in library.nears("walrus ice")}
        answer = library.index.ask("walrus ice", visible_to(store, "akashi"))
        assert dict(answer.of(list(nears))) == nears
        some = list(nears)[:5]
        unknown = [id_of(store, "/memory/private/kuro/a.md"), 10**9, id_of(store, "/memory")]
        assert dict(answer.of([*some, *unknown])) == {node: nears[node] for node in some}
        assert answer.of([]) == {}

    def test_of_a_long_note_the_nearest_part_is_found_and_it_is_said_where(
        self, store: Store, library: Library
    ) -> None:
        text = long_note("walrus").decode()
        put(store, "/memory/long.md", text.encode())
        put(store, "/memory/short.md", b"boats")
        near = library.nears("walrus")[0]
        assert library.path(near) == "/memory/long.md"
        assert "walrus" in text[near.start : near.start + near.length]
        assert near.length < len(text) / 2
        (first,) = [near for near in library.nears("boats") if near.node == id_of(store, "/memory/short.md")]
        assert (first.start, first.length) == (0, len("boats"))

    def test_what_has_no_text_is_not_found_and_a_title_is_text(self, store: Store, library: Library) -> None:
        for number, data in enumerate((b"", b" \n\n", b"\0\xff", b"\xff" * 5000)):
            put(store, f"/memory/{number}.bin", data)
        put(store, "/memory/titled.bin", b"\0\xff", patch={"title": "walrus"})
        change(store, lambda t: t.mkdir("/memory/walrus"))
        assert library.find("walrus") == ["/memory/titled.bin"]
        everything_seen = library.index.embedded(visible_to(store, "akashi"))
        assert everything_seen == (1, 1)

    @pytest.mark.parametrize("query", ("", " ", "\0", "word " * 2000, "😀 紧", "\n\t\r"))
    def test_any_text_is_a_query(self, store: Store, library: Library, query: str) -> None:
        put(store, "/memory/a.md", b"a word")
        assert library.find(query) == ["/memory/a.md"]

    def test_every_scale_has_its_best_in_front(self, store: Store, library: Library) -> None:
        """The Chinese notes are all nearer to a Chinese query than any other note, which says nothing about them."""
        for number in range(40):
            put(store, f"/memory/en{number}.md", f"something {number} else".encode())
            put(store, f"/memory/zh{number}.md", f"天气 {number} 很好".encode())
        put(store, "/memory/walrus.md", b"walrus")
        put(store, "/memory/situation.md", "局势 紧张".encode())
        assert set(library.find("walrus 局势 紧张")[:2]) == {"/memory/walrus.md", "/memory/situation.md"}

    def test_before_anything_is_indexed_nothing_is_found(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", b"walrus")
        answer = library.index.ask("walrus", visible_to(store, "akashi"))
        assert list(answer.nearest()) == []
        assert answer.of([id_of(store, "/memory/a.md")]) == {}
        assert library.index.embedded(visible_to(store, "akashi")) == (0, 0)
        assert library.index.cursor() is None
        assert library.index.waiting() == 0

    # --- following -------------------------------------------------------------------------------

    def test_an_edit_is_followed(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", b"walrus")
        put(store, "/memory/b.md", b"boat")
        assert library.find("walrus")[0] == "/memory/a.md"
        self.renewed(library)
        put(store, "/memory/a.md", b"seal")
        put(store, "/memory/b.md", b"walrus")
        assert library.find("walrus")[0] == "/memory/b.md"
        assert library.find("seal")[0] == "/memory/a.md"
        change(store, lambda t: t.append("/memory/a.md", b" walrus walrus walrus"))
        assert library.find("seal walrus")[0] == "/memory/a.md"
        assert len(library.find("seal")) == 2

    def test_a_note_that_becomes_shorter_has_fewer_parts(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", long_note("walrus"))
        put(store, "/memory/b.md", b"something else")
        self.renewed(library)
        put(store, "/memory/a.md", b"boat")
        before = library.scores("walrus")
        fresh = MemoryStore(FOUNDER)
        put(fresh, "/memory/a.md", b"boat")
        assert library.nears("boat")[0].length == len("boat")
        assert set(before) == {"/memory/a.md", "/memory/b.md"}

    def test_a_title_is_followed(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", b"text", patch={"title": "walrus"})
        put(store, "/memory/b.md", b"text")
        assert library.find("walrus")[0] == "/memory/a.md"
        change(store, lambda t: t.update_meta("/memory/a.md", {"title": "seal"}))
        change(store, lambda t: t.update_meta("/memory/b.md", {"title": "walrus"}))
        assert library.find("walrus")[0] == "/memory/b.md"
        assert library.find("seal")[0] == "/memory/a.md"

    def test_a_delete_is_followed_and_so_is_a_restoration(self, store: Store, library: Library) -> None:
        for path in ("/memory/a.md", "/memory/d/b.md", "/memory/d/e/c.md"):
            put(store, path, b"walrus")
        nodes = {path: id_of(store, path) for path in ("/memory/a.md", "/memory/d/b.md")}
        tree = id_of(store, "/memory/d")
        assert len(library.find("walrus")) == 3
        self.renewed(library)
        change(store, lambda t: t.delete("/memory/a.md"))
        assert sorted(library.find("walrus")) == ["/memory/d/b.md", "/memory/d/e/c.md"]
        assert library.index.ask("walrus", visible_to(store, "akashi")).of(list(nodes.values())).keys() == {
            nodes["/memory/d/b.md"]
        }
        change(store, lambda t: t.delete("/memory/d", recursive=True))
        assert library.find("walrus") == []
        assert library.index.indexed(list(nodes.values())) == set()
        change(store, lambda t: t.restore(nodes["/memory/a.md"]))
        assert library.find("walrus") == ["/memory/a.md"]
        change(store, lambda t: t.restore(tree))
        assert len(library.find("walrus")) == 3
        assert library.index.indexed(list(nodes.values())) == set(nodes.values())

    def test_a_rename_is_followed(self, store: Store, library: Library, embedder: WordEmbedder) -> None:
        put(store, "/memory/a.md", b"walrus")
        put(store, "/memory/d/b.md", b"penguin")
        assert library.find("walrus")[0] == "/memory/a.md"
        self.renewed(library)
        change(store, lambda t: t.rename("/memory/a.md", "/memory/far/c.md"))
        assert library.find("walrus")[0] == "/memory/far/c.md"
        change(store, lambda t: t.rename("/memory/d", "/memory/e"))
        assert library.find("penguin")[0] == "/memory/e/b.md"
        change(store, lambda t: t.rename("/memory/e/b.md", "/memory/far/c.md", replace=True))
        assert library.find("walrus") == ["/memory/far/c.md"]
        assert embedder.embedded == {"walrus": 1, "penguin": 1}

    def test_a_prefix_move_is_followed(self, store: Store, library: Library, embedder: WordEmbedder) -> None:
        put(store, "/memory/n-1.md", b"walrus")
        put(store, "/memory/n-d/2.md", b"walrus")
        assert len(library.find("walrus")) == 2
        change(store, lambda t: t.rename_prefix("/memory/n-", "/memory/private/akashi/"))
        expected = ["/memory/private/akashi/1.md", "/memory/private/akashi/d/2.md"]
        assert sorted(library.find("walrus")) == expected
        assert library.find("walrus", "kuro") == []
        assert embedder.embedded == {"walrus": 1}

    def test_a_hard_link_is_one_note_in_each_place_that_is_seen(self, store: Store, library: Library) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/b.md", b"boat")
        change(store, lambda t: t.set_mode("/memory/private/akashi/a.md", 0o666))
        assert library.find("walrus", "kuro") == ["/memory/b.md"]
        self.renewed(library)
        change(store, lambda t: t.hard_link("/memory/private/akashi/a.md", "/memory/shared/a.md"))
        assert library.find("walrus", "kuro") == ["/memory/shared/a.md", "/memory/b.md"]
        assert len(library.find("walrus")) == 2
        self.renewed(library)
        change(store, lambda t: t.delete("/memory/private/akashi/a.md"))
        assert library.find("walrus")[0] == "/memory/shared/a.md"
        change(store, lambda t: t.rename("/memory/shared/a.md", "/memory/private/akashi/a.md"))
        assert library.find("walrus", "kuro") == ["/memory/b.md"]

    def test_many_changes_are_followed_in_batches(self, store: Store, library: Library) -> None:
        assert library.find("walrus") == []
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(2500):
                transaction.write(f"/memory/{number % 50}.md", b"walrus w%d" % number)
        assert library.find("w2499")[0] == "/memory/49.md"
        assert len(library.find("walrus")) == 50

    # --- visibility ------------------------------------------------------------------------------

    def test_what_an_agent_may_not_see_it_does_not_find(self, store: Store, library: Library) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/private/kuro/b.md", b"walrus", KURO)
        put(store, "/memory/shared/c.md", b"walrus")
        for agent, expected in (
            ("akashi", ["/memory/private/akashi/a.md", "/memory/shared/c.md"]),
            ("kuro", ["/memory/private/kuro/b.md", "/memory/shared/c.md"]),
            ("third", ["/memory/shared/c.md"]),
        ):
            assert sorted(library.find("walrus", agent)) == expected
            assert library.index.embedded(visible_to(store, agent)) == (len(expected), len(expected))
        assert list(library.index.ask("walrus", NOBODY).nearest()) == []
        assert library.index.embedded(NOBODY) == (0, 0)

    def test_what_is_hidden_changes_neither_hits_nor_order_nor_scores_nor_counts(
        self, store: Store, library: Library
    ) -> None:
        many(store, 300, "/memory/shared")
        queries = ("walrus", "ice sea", "局势 boat", "secret")
        self.renewed(library)
        before = {query: library.nears(query, "kuro") for query in queries}
        counts = library.index.embedded(visible_to(store, "kuro"))

        def nothing_has_changed() -> None:
            for query, nears in before.items():
                found = library.nears(query, "kuro")
                if self.shift == 0:
                    assert found == nears
                scores = {near.node: near.score for near in nears}
                assert {near.node: near.score for near in found} == pytest.approx(scores, abs=self.shift)
            assert library.index.embedded(visible_to(store, "kuro")) == counts

        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(900):
                text = " ".join(random.Random(number).choices(("secret", *WORDS), k=4))
                transaction.write(f"/memory/private/akashi/{number}.md", text.encode())
        self.renewed(library)
        nothing_has_changed()
        change(store, lambda t: t.delete("/memory/private/akashi", recursive=True))
        nothing_has_changed()

    def test_a_share_shows_and_taking_it_back_hides(self, store: Store, library: Library) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/private/akashi/d/e/b.md", b"walrus")
        assert library.find("walrus", "kuro") == []
        self.renewed(library)
        change(store, lambda t: t.share("/memory/private/akashi/a.md", "kuro", "r"))
        assert library.find("walrus", "kuro") == ["/memory/private/akashi/a.md"]
        change(store, lambda t: t.share("/memory/private/akashi/d", "kuro", "rw"))
        assert len(library.find("walrus", "kuro")) == 2
        assert library.find("walrus", "third") == []
        self.renewed(library)
        change(store, lambda t: t.share("/memory/private/akashi/a.md", "kuro", None))
        assert library.find("walrus", "kuro") == ["/memory/private/akashi/d/e/b.md"]
        change(store, lambda t: t.share("/memory/private/akashi/d", "kuro", None))
        assert library.find("walrus", "kuro") == []
        assert len(library.find("walrus")) == 2

    def test_modes_and_owners_show_and_hide(self, store: Store, library: Library) -> None:
        put(store, "/memory/d/e/a.md", b"walrus")
        path = "/memory/d/e/a.md"
        steps: list[tuple[Callable[[], None], list[str], list[str]]] = [
            (lambda: None, [path], [path]),
            (lambda: change(store, lambda t: t.set_mode(path, 0o600)), [path], []),
            (lambda: change(store, lambda t: t.set_owner(path, "kuro", "kuro")), [], [path]),
            (lambda: change(store, lambda t: t.set_mode(path, 0o644)), [path], [path]),
            (lambda: change(store, lambda t: t.set_mode("/memory/d", 0o700)), [path], []),
            (lambda: change(store, lambda t: t.set_owner("/memory/d", "kuro", "kuro")), [], [path]),
        ]
        for step, akashi, kuro in steps:
            step()
            assert (library.find("walrus", "akashi"), library.find("walrus", "kuro")) == (akashi, kuro)
            self.renewed(library)

    def test_who_asks_again_as_before_sees_what_is_new(self, store: Store, library: Library) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/shared/a.md", b"walrus")
        library.embed()
        visible = visible_to(store, "kuro")
        for count in range(1, 5):
            nears = list(library.index.ask("walrus", visible).nearest())
            assert len(nears) == count
            put(store, f"/memory/shared/{count}.md", b"walrus %d" % count)
            put(store, f"/memory/private/akashi/{count}.md", b"walrus %d" % count)
            library.embed()
            assert library.index.embedded(visible) == (count + 1, count + 1)

    def test_moving_a_directory_shows_and_hides_what_is_far_below(
        self, store: Store, library: Library
    ) -> None:
        for number in range(30):
            put(store, f"/memory/top/d{number % 3}/e/{number}.md", b"walrus %d" % number)
        assert len(library.find("walrus", "kuro")) == 30
        self.renewed(library)
        change(store, lambda t: t.rename("/memory/top", "/memory/private/akashi/top"))
        assert library.find("walrus", "kuro") == []
        assert len(library.find("walrus", "akashi")) == 30
        change(store, lambda t: t.rename("/memory/private/akashi/top/d1", "/memory/shared/d1"))
        assert len(library.find("walrus", "kuro")) == 10

    # --- embedding -------------------------------------------------------------------------------

    def test_what_waits_is_counted_and_not_found_and_what_is_done_is(
        self, store: Store, library: Library
    ) -> None:
        many(store, 100)
        put(store, "/memory/private/kuro/b.md", b"walrus", KURO)
        assert library.runner.catch_up(MINUTE) == 0
        visible = visible_to(store, "akashi")
        assert library.index.embedded(visible) == (0, 100)
        assert library.index.embedded(visible).waiting == 100
        assert library.index.waiting() >= 101
        assert list(library.index.ask("walrus", visible).nearest()) == []
        left = library.index.embed(library.runner, 0.0)
        assert left == library.index.waiting()
        library.embed()
        assert library.index.embedded(visible) == (100, 100)
        assert library.index.embedded(visible_to(store, "kuro")) == (101, 101)
        assert len(list(library.index.ask("walrus", visible).nearest())) == 100

    def test_the_newest_is_embedded_first_and_progress_is_told_and_can_stop_it(
        self, store: Store, library: Library
    ) -> None:
        many(store, 200)
        put(store, "/memory/newest.md", b"walrus penguin")
        library.runner.catch_up(MINUTE)
        told: list[tuple[int, int]] = []

        class Enough(Exception):
            pass

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            if done >= 1:
                raise Enough

        with pytest.raises(Enough):
            library.index.embed(library.runner, MINUTE, progress)
        assert told[0][0] == 0
        assert told[0][1] >= 201
        assert 0 < library.index.waiting() < told[0][1]
        visible = visible_to(store, "akashi")
        assert id_of(store, "/memory/newest.md") in {
            near.node for near in library.index.ask("walrus", visible).nearest()
        }
        assert len(library.find("walrus")) == 201

    def test_the_same_text_is_never_embedded_twice(
        self, store: Store, library: Library, embedder: WordEmbedder, make_index: MakeIndex,
        context: SemanticContext,
    ) -> None:  # fmt: skip
        long = long_note("walrus")
        for number in range(5):
            put(store, f"/memory/{number}.md", b"the same text everywhere")
        put(store, "/memory/long.md", long)
        library.embed()
        change(store, lambda t: t.rename("/memory/1.md", "/memory/moved.md"))
        put(store, "/memory/copy.md", b"the same text everywhere")
        put(store, "/memory/long-copy.md", long)
        put(store, "/memory/long.md", long + b"\n\nand a last paragraph\n")
        change(store, lambda t: t.set_mode("/memory/2.md", 0o600))
        change(store, lambda t: t.update_meta("/memory/3.md", {"tags": ["x"]}))
        change(store, lambda t: t.delete("/memory/0.md"))
        library.embed()
        library.runner.rebuild()
        library.embed()
        library.index.close()
        again = Library(store, make_index(context))
        again.embed()
        put(store, "/memory/last.md", b"the same text everywhere")
        again.embed()
        assert set(embedder.embedded.values()) == {1}
        again.index.close()

    def test_what_expires_before_it_is_embedded_keeps_nothing_from_being_embedded(
        self, store: Store, library: Library
    ) -> None:
        many(store, 30)
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(600):
                transaction.write(f"/memory/late/{number}.md", b"expires %d" % number)
        library.runner.catch_up(MINUTE)
        soon = time.time_ns() + 10**9
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(600):
                transaction.set_expiry(f"/memory/late/{number}.md", soon)
        library.runner.catch_up(MINUTE)
        time.sleep(max(0.0, (soon - time.time_ns()) / 1e9) + 0.01)
        library.embed()
        assert len(library.find("walrus")) == 30

    def test_a_note_that_changes_while_it_is_embedded_is_embedded_as_it_is_then(
        self, store: Store, library: Library, embedder: WordEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many(store, 40)
        library.runner.catch_up(MINUTE)
        encode = embedder.encode
        changed: list[bool] = []

        def encode_late(texts: Sequence[str], kind: str) -> memoryview:
            if not changed:
                changed.append(True)
                for number in range(40):
                    put(store, f"/memory/{number}.md", b"changed %d" % number)
                put(store, "/memory/fresh.md", b"penguin penguin")
            return encode(texts, kind)  # type: ignore[arg-type]  # what it is given

        monkeypatch.setattr(embedder, "encode", encode_late)
        library.index.embed(library.runner, MINUTE)
        assert library.find("penguin")[0] == "/memory/fresh.md"
        assert len(library.find("changed")) == 41
        assert library.find("changed")[-1] == "/memory/fresh.md"

    # --- cursors, rebuilding, life ---------------------------------------------------------------

    def test_the_cursor_is_where_the_index_is(self, store: Store, library: Library) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert library.runner.behind() == store.head().sequence
        assert library.runner.catch_up(MINUTE) == 0
        head = store.head()
        assert library.index.cursor() == Cursor(store.uuid, head.sequence, head.chain)

    @pytest.mark.parametrize("seed", range(3))
    def test_an_index_that_followed_is_the_one_made_anew(
        self, store: Store, library: Library, make_index: MakeIndex, embedder: WordEmbedder,
        backend: VectorBackend, seed: int,
    ) -> None:  # fmt: skip
        dice, random_ = Dice(seed), random.Random(seed)
        for step in range(150):
            origin, (_, work) = dice.origin(), dice.step()
            if step % 3 == 0:
                text = " ".join(random_.choices(WORDS, k=3)).encode()
                put_if_possible(store, dice.path(), text, origin)
            try:
                change(store, work, origin)
            except VfsError:
                continue
            if step % 10 == 0:
                self.renewed(library)
        library.embed()
        side = SideContext(None, store.uuid)
        fresh = Library(store, make_index(context_of(side, embedder, backend)))
        self.same(library, fresh)
        library.runner.rebuild()
        self.same(library, fresh)
        files = {each.stat.id for each in everything(store) if each.stat and each.stat.kind is Kind.FILE}
        ids = range(1, store.head().sequence + 1)
        assert library.index.indexed(ids) == fresh.index.indexed(ids) == files

    def same(self, one: Library, other: Library) -> None:
        """Both give the same nodes and parts with the same scores to everybody."""
        for query in (*WORDS, "walrus ice 局势", "a", ""):
            for agent in AGENTS:
                first, second = one.nears(query, agent), other.nears(query, agent)
                assert {near.node for near in first} == {near.node for near in second}, (query, agent)
                mine = {near.node: near.score for near in first}
                theirs = {near.node: near.score for near in second}
                assert mine == pytest.approx(theirs, abs=self.tolerance), (query, agent)

    def test_applying_changes_again_changes_nothing(self, store: Store, library: Library) -> None:
        for path in ("/memory/a.md", "/memory/d/b.md", "/memory/d/c.md"):
            put(store, path, f"walrus {path}".encode())
        change(store, lambda t: t.rename("/memory/d", "/memory/private/akashi/d"))
        change(store, lambda t: t.delete("/memory/private/akashi/d/c.md"))
        nears = library.nears("walrus")
        head = store.head()
        cursor = Cursor(store.uuid, head.sequence, head.chain)
        for after in (0, 5, head.sequence - 1):
            library.index.apply(store.changes(after), store, cursor)
            assert library.nears("walrus") == nears

    def test_another_store_in_the_same_place_is_indexed_anew(
        self, store: Store, library: Library, make_index: MakeIndex, context: SemanticContext
    ) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert library.find("walrus") == ["/memory/a.md"]
        library.index.close()
        other = MemoryStore(FOUNDER)
        put(other, "/memory/b.md", b"seal")
        put(other, "/memory/c.md", b"seal")
        side = SideContext(context.side.path, other.uuid)
        second = Library(other, make_index(context_of(side, context.embedder, context.backend)))
        assert sorted(second.find("seal")) == ["/memory/b.md", "/memory/c.md"]
        assert second.index.embedded(visible_to(other, "akashi")) == (2, 2)
        second.runner.close()

    def test_the_same_store_with_another_history_is_indexed_anew(
        self, store: Store, library: Library
    ) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert library.find("walrus") == ["/memory/a.md"]
        restored = MemoryStore(FOUNDER)
        restored.uuid = store.uuid
        put(restored, "/memory/b.md", b"seal")
        put(restored, "/memory/c.md", b"seal")
        again = Library(restored, library.index)
        assert sorted(again.find("seal")) == ["/memory/b.md", "/memory/c.md"]

    def test_an_index_opened_again_goes_on(
        self, store: Store, library: Library, make_index: MakeIndex, context: SemanticContext
    ) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert library.find("walrus") == ["/memory/a.md"]
        library.index.close()
        again = Library(store, make_index(context))
        assert again.index.cursor() == Cursor(store.uuid, *store.head())
        put(store, "/memory/b.md", b"walrus")
        assert sorted(again.find("walrus")) == ["/memory/a.md", "/memory/b.md"]
        again.index.close()
        again.index.close()

    def test_two_indexes_on_the_same_files_see_what_the_other_does(
        self, store: Store, library: Library, make_index: MakeIndex, context: SemanticContext
    ) -> None:
        other = Library(store, make_index(context))
        generator = random.Random(1)
        for round in range(12):
            mine, theirs = generator.sample((library, other), 2)
            put(store, f"/memory/{round % 5}.md", " ".join(generator.choices(WORDS, k=3)).encode())
            if round == 7:
                mine.runner.rebuild()
            mine.embed()
            self.same(mine, theirs)
        other.index.close()

    def test_vectors_of_another_model_are_kept_apart(
        self, store: Store, library: Library, make_index: MakeIndex, context: SemanticContext
    ) -> None:
        many(store, 30)
        before = library.nears("walrus ice")
        newer = WordEmbedder({"fingerprint": "a newer model"})
        second = Library(store, make_index(context_of(context.side, newer, context.backend)))
        assert second.runner.catch_up(MINUTE) == 0
        assert second.index.waiting() >= 1
        assert [model.fingerprint for model in second.index.former()] == [context.embedder.fingerprint]
        assert library.index.former() == []
        assert list(second.index.ask("walrus", visible_to(store, "akashi")).nearest()) == []
        assert len(second.nears("walrus ice")) == 30
        assert newer.embedded
        assert library.nears("walrus ice") == before
        assert [model.fingerprint for model in library.index.former()] == [newer.fingerprint]
        assert set(library.index.files()).isdisjoint(second.index.files())
        second.index.discard()
        assert library.nears("walrus ice") == before
        second.index.close()

    @pytest.mark.parametrize("way", ["scrub", "discard"])
    def test_what_is_deleted_is_in_no_file_after_scrubbing_and_all_else_is_found(
        self, store: Store, library: Library, context: SemanticContext, way: str
    ) -> None:
        many(store, 60)
        put(store, "/memory/secret.md", b"quetzalcoatlus", patch={"title": "zyzzyvas"})
        put(store, "/memory/cut.md", b"walrus and quetzalcoatlus")
        assert len(library.find("quetzalcoatlus")) == 62
        self.renewed(library)
        change(store, lambda t: t.delete("/memory/secret.md"))
        put(store, "/memory/cut.md", b"walrus")
        getattr(library.runner, way)()
        assert context.side.path is not None
        for file in [*library.index.files(), *map(str, Path(context.side.path).parent.glob("*"))]:
            data = Path(file).read_bytes() if Path(file).is_file() else b""
            assert b"quetzalcoatlus" not in data, file
            assert b"zyzzyvas" not in data, file
        assert len(library.find("walrus")) == 61

    def test_an_answer_stays_what_it_was_whatever_happens_meanwhile(
        self, store: Store, library: Library
    ) -> None:
        many(store, 450, "/memory/d")
        expected = library.nears("walrus ice")
        answer = library.index.ask("walrus ice", visible_to(store, "akashi"))
        nearest = answer.nearest()
        first = list(itertools.islice(nearest, 10))
        for number in range(450):
            put(store, f"/memory/d/{number}.md", b"penguin %d" % number)
        put(store, "/memory/new.md", b"walrus ice")
        change(store, lambda t: t.rename("/memory/d", "/memory/private/akashi/d"))
        library.embed()
        self.renewed(library)
        library.nears("walrus")
        assert [*first, *nearest] == expected
        nodes = [near.node for near in expected]
        assert dict(answer.of([*nodes, id_of(store, "/memory/new.md")])) == {
            near.node: near for near in expected
        }

    def test_settling_changes_no_answer(
        self, store: Store, library: Library, make_index: MakeIndex, context: SemanticContext
    ) -> None:
        many(store, 60)
        put(store, "/memory/private/kuro/b.md", b"walrus", KURO)
        before = library.nears("walrus ice")
        library.index.settle(library.runner)
        scores = {near.node: near.score for near in before}
        for index in (library, Library(store, make_index(context))):
            found = {near.node: near.score for near in index.nears("walrus ice")}
            assert found == pytest.approx(scores, abs=max(self.shift, self.tolerance))
            index.index.close()

    def test_threads_ask_while_one_writes(self, store: Store, library: Library) -> None:
        many(store, 100, "/memory/shared")
        put(store, "/memory/private/akashi/hidden.md", b"walrus")
        put(store, "/memory/shared/always.md", b"walrus")
        library.embed()
        hidden, always = (
            id_of(store, "/memory/private/akashi/hidden.md"),
            id_of(store, "/memory/shared/always.md"),
        )
        done = threading.Event()
        failures: list[object] = []

        def ask() -> None:
            try:
                while not done.is_set():
                    answer = library.index.ask("walrus", visible_to(store, "kuro"))
                    nodes = [near.node for near in answer.nearest()]
                    if always not in nodes or hidden in nodes or len(nodes) < 100:
                        failures.append(nodes)
                    if answer.of([always, hidden]).keys() != {always}:
                        failures.append("of")
            except BaseException as error:  # noqa: BLE001  # reported by the assertion below
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(40):
                put(store, f"/memory/shared/{number}.md", b"walrus %d" % number)
                put(store, "/memory/private/akashi/hidden.md", b"walrus %d" % number)
                library.embed()
                if number % 10 == 0:
                    library.runner.rebuild()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []


def many(store: Store, count: int, place: str = "/memory") -> None:
    """So many notes of a few words."""
    with store.transaction(AKASHI, allow_all) as transaction:
        for number in range(count):
            text = " ".join(random.Random(number).choices(WORDS, k=5))
            transaction.write(f"{place}/{number}.md", text.encode())


def long_note(word: str) -> bytes:
    """A note of many parts, with a word in one of them."""
    sentences = [f"Sentence {number} is about nothing in particular." for number in range(120)]
    sentences[70] = f"The {word}, the {word} and the {word}."
    return "\n".join(sentences).encode()
