"""The conformance suite of the search contract (`vfs_core.search`): subclass it, override `make_backend`."""

# ruff: noqa: D102  # the tests' names are sentences

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings, strategies

from vfs_core.errors import VfsError
from vfs_core.follower import Lease, Runner
from vfs_core.journal import Cursor
from vfs_core.search import Match, SearchBackend, SearchQuery, SideContext
from vfs_core.storage import Store, Transaction, allow_all
from vfs_core.testing.memory_store import FOUNDER, MemoryStore
from vfs_core.testing.store_help import AKASHI, KURO, everything, id_of, put
from vfs_core.testing.store_model import Dice
from vfs_core.types import Kind, Origin
from vfs_core.visibility import DirectoryClass, NodeClass, Visible

MakeBackend = Callable[[SideContext], SearchBackend]

ODD_QUERIES = (
    "",
    " ",
    "\0",
    '"',
    '"unbalanced',
    "a AND",
    "OR NOT NEAR(",
    "(((",
    "*",
    "* * *",
    "-x",
    "title:x",
    "{a b}: c",
    "^x",
    "x^2",
    "'; DROP TABLE document; --",
    "\\",
    "%_?[a-z]",
    "\ud83d\ude00",
    "😀 紧",
    "a" * 10_000,
    "word " * 2_000,
    "\u202eabc\u200b",
    "\n\t\r",
)


def visible_to(store: Store, agent: str) -> Visible:
    """What an agent without groups may read: the policy's answer where there are no rules."""
    classes = store.classes()
    nodes = {id: value for id, value in classes if isinstance(value, NodeClass)}
    directories = {id: value for id, value in classes if not isinstance(value, NodeClass)}
    readable = {id for id, value in nodes.items() if value.bits_for(agent, frozenset((agent,))) & 4}
    granted = {id for id, value in nodes.items() if agent in value.shares}
    open_ = {id for id, value in directories.items() if value.space in (None, agent) and passes(value, agent)}
    lent = {
        (id, each.owner) for id, value in directories.items() for each in value.grants if each.agent == agent
    }
    shared = {(id, node) for id, owner in lent for node, value in nodes.items() if value.owner == owner}
    last = classes[-1][0] if classes else 0
    return Visible(frozenset(open_), frozenset(readable), frozenset(shared), frozenset(granted), last)


def passes(directory: DirectoryClass, agent: str) -> bool:
    """Whether an agent gets past all bars on the way."""
    return all(
        NodeClass(bar.owner, bar.group, bar.mode).bits_for(agent, frozenset((agent,))) & 1
        for bar in directory.bars
    )


class Index:
    """A backend that is kept up with a store, asked in paths."""

    def __init__(self, store: Store, backend: SearchBackend) -> None:
        self.store = store
        self.backend = backend
        self.runner = Runner(store, backend, Lease(None))

    def matches(
        self, text: str, agent: str = "akashi", *, limit: int = 10, tags: Iterable[str] = ()
    ) -> Iterator[Match]:
        """What an agent finds, once the index is up to date."""
        assert self.runner.catch_up(60) == 0
        visible = visible_to(self.store, agent)
        return self.backend.search(SearchQuery(text, visible, limit, frozenset(tags)))

    def find(self, text: str, agent: str = "akashi", *, tags: Iterable[str] = ()) -> list[str]:
        """The paths of all that an agent finds, best first."""
        return [self.path(match) for match in self.matches(text, agent, tags=tags)]

    def path(self, match: Match) -> str:
        """The name of a match."""
        paths = [found.path for found in self.store.nodes([match.node]) if found.parent == match.directory]
        assert len(paths) == 1, f"{match} is in no directory of the node"
        return paths[0]


def change(store: Store, work: Callable[[Transaction], object], origin: Origin = AKASHI) -> None:
    """One transaction."""
    with store.transaction(origin, allow_all) as transaction:
        work(transaction)


class SearchTests:
    """Whatever the backend: what is written is found, by who may see it, and by nobody else."""

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        """Makes a backend from a SideContext: the class itself, mostly."""
        raise NotImplementedError("override the fixture `make_backend`")

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """What is indexed."""
        store = MemoryStore(FOUNDER)
        yield store
        store.close()

    @pytest.fixture
    def context(self, store: Store, tmp_path: Path) -> SideContext:
        """Side files in a directory of their own."""
        return SideContext(str(tmp_path / "avm"), store.uuid)

    @pytest.fixture
    def index(self, store: Store, make_backend: MakeBackend, context: SideContext) -> Iterator[Index]:
        """A backend that follows the store."""
        index = Index(store, make_backend(context))
        yield index
        index.runner.close()

    # --- finding ---------------------------------------------------------------------------------

    def test_what_is_written_is_found(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"The central bank raised its rates yesterday.")
        put(store, "/memory/b.md", b"Nothing happened at all.")
        for query in ("bank", "BANK", "central bank", "  rates!  ", "yesterday", '"bank"'):
            assert index.find(query) == ["/memory/a.md"], query
        assert index.find("inflation") == []

    def test_name_title_and_tags_are_found(self, store: Store, index: Index) -> None:
        put(store, "/memory/zebra.md", b"x")
        put(store, "/memory/b.md", b"x", patch={"title": "The giraffe"})
        put(store, "/memory/c.md", b"x", patch={"tags": ["okapi"]})
        assert index.find("zebra") == ["/memory/zebra.md"]
        assert index.find("giraffe") == ["/memory/b.md"]
        assert index.find("okapi") == ["/memory/c.md"]

    def test_who_has_more_of_the_query_comes_first(self, store: Store, index: Index) -> None:
        put(store, "/memory/one.md", b"apples and something else")
        put(store, "/memory/all.md", b"apples, pears and quinces")
        put(store, "/memory/none.md", b"something else")
        assert index.find("apples pears quinces")[0] == "/memory/all.md"

    @pytest.mark.parametrize("query", ("局势", "紧张", "局势紧张", "中东", "中东局势紧张", "东局"))
    def test_chinese_is_found_by_its_words(self, store: Store, index: Index, query: str) -> None:
        put(store, "/memory/a.md", "中东局势紧张".encode())
        put(store, "/memory/b.md", "天气很好".encode())
        assert index.find(query) == ["/memory/a.md"]

    def test_a_star_looks_for_the_beginning_of_a_word(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"RSI says overbought")
        put(store, "/memory/b.md", b"under and over")
        for query in ("overb*", "OVERB*", "overbought*"):
            assert index.find(query) == ["/memory/a.md"], query
        assert sorted(index.find("over*")) == ["/memory/a.md", "/memory/b.md"]
        assert index.find("verb*") == []

    def test_only_files_are_found(self, store: Store, index: Index) -> None:
        change(store, lambda t: t.mkdir("/memory/walrus/seal", parents=True))
        put(store, "/memory/walrus/note.md", b"penguin")
        assert index.find("seal") == []
        assert index.find("penguin") == ["/memory/walrus/note.md"]

    def test_any_content_can_be_indexed(self, store: Store, index: Index) -> None:
        contents = (b"", b"\0\xff\xfe", b"\xff" * 100_000, b"word " * 100_000, b"x" * 300_000)
        for number, data in enumerate(contents):
            put(store, f"/memory/walrus-{number}.bin", data)
        put(store, "/memory/other.md", b"seal")
        assert index.find("seal") == ["/memory/other.md"]
        assert len(index.find("walrus")) == len(contents)
        assert index.backend.documents() == len(contents) + 1

    def test_all_matches_come_in_the_end_and_each_once(self, store: Store, index: Index) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(300):
                transaction.write(f"/memory/{number}.md", b"walrus number %d" % number)
        matches = list(index.matches("walrus", limit=3))
        assert sorted(index.path(match) for match in matches) == sorted(f"/memory/{n}.md" for n in range(300))
        some = list(itertools.islice(index.matches("walrus", limit=3), 7))
        assert some == matches[:7]

    def test_scores_fall_from_one_towards_zero(self, store: Store, index: Index) -> None:
        texts = ("walrus", "walrus seal", "seal " * 50, "walrus " * 50, "a long text about a seal " * 20)
        for number, text in enumerate(texts):
            put(store, f"/memory/{number}.md", text.encode())
        for query in ("walrus", "seal", "walrus seal", "walr*"):
            scores = [match.score for match in index.matches(query)]
            assert scores
            assert scores == sorted(scores, reverse=True)
            assert all(0 <= score <= 1 for score in scores)

    def test_tags_limit_what_is_found_to_notes_that_have_them_all(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus", patch={"tags": ["ice", "sea"]})
        put(store, "/memory/b.md", b"walrus", patch={"tags": ["ice"]})
        put(store, "/memory/c.md", b"walrus")
        assert sorted(index.find("walrus", tags=["ice"])) == ["/memory/a.md", "/memory/b.md"]
        assert index.find("walrus", tags=["ice", "sea"]) == ["/memory/a.md"]
        assert index.find("walrus", tags=["ic"]) == []
        put(store, "/memory/c.md", b"walrus", patch={"tags": ["sea"]})
        put(store, "/memory/a.md", b"walrus", patch={"tags": None})
        assert index.find("walrus", tags=["sea"]) == ["/memory/c.md"]

    @pytest.mark.parametrize("query", ODD_QUERIES, ids=range(len(ODD_QUERIES)))
    def test_any_text_is_a_query(self, store: Store, index: Index, query: str) -> None:
        put(store, "/memory/a.md", b"a word")
        for match in index.matches(query):
            assert index.path(match) == "/memory/a.md"
        assert len(index.backend.snippet("a word " * 100, query)) <= 160

    def test_any_text_of_hypothesis_is_a_query(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"a word")

        @settings(max_examples=100, deadline=None, database=None)
        @given(strategies.text(max_size=60), strategies.text(max_size=60))
        def holds(query: str, content: str) -> None:
            assert {index.path(match) for match in index.matches(query)} <= {"/memory/a.md"}
            assert len(index.backend.snippet(content, query, 30)) <= 30

        holds()

    @pytest.mark.parametrize("query", ("", "   ", "!?", "* *", "- + ( )", "。，"))
    def test_a_query_without_a_word_finds_nothing(self, store: Store, index: Index, query: str) -> None:
        put(store, "/memory/a.md", "a word ! ? * 。".encode())
        assert index.find(query) == []

    def test_before_anything_is_indexed_nothing_is_found(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus")
        query = SearchQuery("walrus", visible_to(store, "akashi"))
        assert list(index.backend.search(query)) == []
        assert index.backend.documents() == 0
        assert index.backend.cursor() is None

    # --- following -------------------------------------------------------------------------------

    def test_an_edit_is_followed(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert index.find("walrus") == ["/memory/a.md"]
        put(store, "/memory/a.md", b"seal")
        assert index.find("walrus") == []
        assert index.find("seal") == ["/memory/a.md"]
        change(store, lambda t: t.append("/memory/a.md", b" and penguin"))
        assert index.find("penguin") == index.find("seal") == ["/memory/a.md"]
        assert index.backend.documents() == 1

    def test_a_change_of_metadata_is_followed(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"text", patch={"title": "walrus"})
        assert index.find("walrus") == ["/memory/a.md"]
        change(store, lambda t: t.update_meta("/memory/a.md", {"title": "seal"}))
        assert index.find("walrus") == []
        assert index.find("seal") == ["/memory/a.md"]

    def test_a_delete_is_followed(self, store: Store, index: Index) -> None:
        for path in ("/memory/a.md", "/memory/d/b.md", "/memory/d/e/c.md"):
            put(store, path, b"walrus")
        assert len(index.find("walrus")) == 3
        change(store, lambda t: t.delete("/memory/a.md"))
        assert sorted(index.find("walrus")) == ["/memory/d/b.md", "/memory/d/e/c.md"]
        change(store, lambda t: t.delete("/memory/d", recursive=True))
        assert index.find("walrus") == []
        assert index.backend.documents() == 0
        put(store, "/memory/a.md", b"walrus")
        assert index.find("walrus") == ["/memory/a.md"]

    def test_a_rename_is_followed(self, store: Store, index: Index) -> None:
        put(store, "/memory/zebra.md", b"walrus")
        put(store, "/memory/d/b.md", b"penguin")
        assert index.find("walrus zebra") == ["/memory/zebra.md"]
        change(store, lambda t: t.rename("/memory/zebra.md", "/memory/far/okapi.md"))
        assert index.find("walrus") == index.find("okapi") == ["/memory/far/okapi.md"]
        assert index.find("zebra") == []
        change(store, lambda t: t.rename("/memory/d", "/memory/e"))
        assert index.find("penguin") == ["/memory/e/b.md"]
        change(store, lambda t: t.rename("/memory/e/b.md", "/memory/far/okapi.md", replace=True))
        assert index.find("walrus") == []
        assert index.find("penguin") == index.find("okapi") == ["/memory/far/okapi.md"]

    def test_a_prefix_move_is_followed(self, store: Store, index: Index) -> None:
        put(store, "/memory/n-1.md", b"walrus")
        put(store, "/memory/n-d/2.md", b"walrus")
        assert len(index.find("walrus")) == 2
        change(store, lambda t: t.rename_prefix("/memory/n-", "/memory/archive/"))
        assert sorted(index.find("walrus")) == ["/memory/archive/1.md", "/memory/archive/d/2.md"]

    def test_many_changes_are_followed_in_batches(self, store: Store, index: Index) -> None:
        assert index.find("walrus") == []
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(2500):
                transaction.write(f"/memory/{number % 50}.md", b"walrus w%d" % number)
        assert index.runner.catch_up(60) == 0
        assert len(index.find("walrus")) == 50
        assert index.find("w17") == []
        assert index.find("w2499") == ["/memory/49.md"]

    # --- visibility ------------------------------------------------------------------------------

    def test_what_an_agent_may_not_see_it_does_not_find(self, store: Store, index: Index) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/private/kuro/b.md", b"walrus", KURO)
        put(store, "/memory/shared/c.md", b"walrus")
        assert sorted(index.find("walrus", "akashi")) == [
            "/memory/private/akashi/a.md",
            "/memory/shared/c.md",
        ]
        assert sorted(index.find("walrus", "kuro")) == ["/memory/private/kuro/b.md", "/memory/shared/c.md"]
        assert index.find("walrus", "third") == ["/memory/shared/c.md"]
        nobody = Visible(frozenset(), frozenset(), frozenset(), frozenset(), 0)
        assert list(index.backend.search(SearchQuery("walrus", nobody))) == []

    def test_many_hidden_notes_push_out_no_visible_one(self, store: Store, index: Index) -> None:
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(400):
                transaction.write(f"/memory/private/akashi/{number}.md", b"walrus walrus walrus")
        put(store, "/memory/shared/only.md", b"there was much text in it, and once a walrus, far back")
        matches = list(index.matches("walrus", "kuro", limit=1))
        assert [index.path(match) for match in matches] == ["/memory/shared/only.md"]

    def test_hits_are_the_same_whether_or_not_there_is_something_hidden(
        self, store: Store, index: Index
    ) -> None:
        for number in range(20):
            put(store, f"/memory/shared/{number}.md", b"walrus " * (number % 3 + 1) + b"seal")
        queries = ("walrus", "seal", "walrus seal penguin", "penguin", "wal*", "secret")
        before = {query: sorted(index.find(query, "kuro")) for query in queries}
        with store.transaction(AKASHI, allow_all) as transaction:
            for number in range(200):
                transaction.write(f"/memory/private/akashi/{number}.md", b"walrus seal penguin secret")
        assert {query: sorted(index.find(query, "kuro")) for query in queries} == before

    def test_a_share_shows_and_taking_it_back_hides(self, store: Store, index: Index) -> None:
        put(store, "/memory/private/akashi/a.md", b"walrus")
        put(store, "/memory/private/akashi/d/e/b.md", b"walrus")
        assert index.find("walrus", "kuro") == []
        change(store, lambda t: t.share("/memory/private/akashi/a.md", "kuro", "r"))
        assert index.find("walrus", "kuro") == ["/memory/private/akashi/a.md"]
        change(store, lambda t: t.share("/memory/private/akashi/d", "kuro", "rw"))
        assert len(index.find("walrus", "kuro")) == 2
        assert index.find("walrus", "third") == []
        change(store, lambda t: t.share("/memory/private/akashi/a.md", "kuro", None))
        assert index.find("walrus", "kuro") == ["/memory/private/akashi/d/e/b.md"]
        change(store, lambda t: t.share("/memory/private/akashi/d", "kuro", None))
        assert index.find("walrus", "kuro") == []
        assert len(index.find("walrus")) == 2

    def test_modes_and_owners_show_and_hide(self, store: Store, index: Index) -> None:
        put(store, "/memory/d/e/a.md", b"walrus")
        assert index.find("walrus", "kuro") == ["/memory/d/e/a.md"]
        change(store, lambda t: t.set_mode("/memory/d/e/a.md", 0o600))
        assert index.find("walrus", "kuro") == []
        change(store, lambda t: t.set_owner("/memory/d/e/a.md", "kuro", "kuro"))
        assert index.find("walrus", "kuro") == ["/memory/d/e/a.md"]
        assert index.find("walrus", "akashi") == []
        change(store, lambda t: t.set_mode("/memory/d/e/a.md", 0o644))
        change(store, lambda t: t.set_mode("/memory/d", 0o700))
        assert index.find("walrus", "kuro") == []
        assert index.find("walrus", "akashi") == ["/memory/d/e/a.md"]
        change(store, lambda t: t.set_owner("/memory/d", "kuro", "kuro"))
        assert index.find("walrus", "kuro") == ["/memory/d/e/a.md"]
        assert index.find("walrus", "akashi") == []

    def test_moving_a_directory_shows_and_hides_what_is_far_below(self, store: Store, index: Index) -> None:
        for number in range(30):
            put(store, f"/memory/top/d{number % 3}/e/{number}.md", b"walrus")
        assert len(index.find("walrus", "kuro")) == 30
        change(store, lambda t: t.rename("/memory/top", "/memory/private/akashi/top"))
        assert index.find("walrus", "kuro") == []
        assert len(index.find("walrus", "akashi")) == 30
        change(store, lambda t: t.rename("/memory/private/akashi/top/d1", "/memory/shared/d1"))
        assert len(index.find("walrus", "kuro")) == 10

    # --- snippets --------------------------------------------------------------------------------

    @pytest.mark.parametrize("width", (20, 80, 160))
    @pytest.mark.parametrize(
        ("text", "query", "word"),
        (
            ("lorem ipsum " * 100 + "walrus " + "dolor sit " * 100, "walrus", "walrus"),
            ("lorem ipsum\n\n" * 100 + "WALRUS\n" + "dolor\tsit\n" * 100, "a walrus", "WALRUS"),
            ("lorem ipsum " * 100 + "overbought " + "dolor sit " * 100, "overb*", "overbought"),
            ("天气很好。" * 100 + "中东局势紧张" + "天气很好。" * 100, "局势", "局势"),
            ("walrus", "walrus", "walrus"),
        ),
    )
    def test_a_snippet_is_one_short_line_with_a_word_of_the_query(
        self, index: Index, text: str, query: str, word: str, width: int
    ) -> None:
        snippet = index.backend.snippet(text, query, width)
        assert len(snippet) <= width
        assert "\n" not in snippet
        assert word in snippet

    def test_a_snippet_of_what_does_not_match_is_still_short(self, index: Index) -> None:
        assert len(index.backend.snippet("lorem ipsum " * 100, "walrus")) <= 160
        assert index.backend.snippet("", "walrus") == ""

    # --- cursors, rebuilding, life ---------------------------------------------------------------

    def test_the_cursor_is_where_the_index_is(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert index.runner.behind() == store.head().sequence
        assert index.runner.catch_up(60) == 0
        head = store.head()
        assert index.backend.cursor() == Cursor(store.uuid, head.sequence, head.chain)
        put(store, "/memory/a.md", b"seal")
        assert index.runner.behind() == 1

    def test_documents_are_counted(self, store: Store, index: Index) -> None:
        for number in range(5):
            put(store, f"/memory/d{number}/{number}.md", b"walrus")
        index.find("walrus")
        assert index.backend.documents() == 5

    @pytest.mark.parametrize("seed", range(3))
    def test_an_index_that_followed_is_the_one_made_anew(
        self, store: Store, index: Index, make_backend: MakeBackend, seed: int
    ) -> None:
        dice = Dice(seed)
        words = ("walrus", "seal", "penguin", "局势")
        queries = (*words, "wal*", "a", "c", "局势")
        random_ = random.Random(seed)
        for step in range(150):
            origin, (_, work) = dice.origin(), dice.step()
            if step % 3 == 0:
                text = " ".join(random_.choices(words, k=3)).encode()
                put_if_possible(store, dice.path(), text, origin)
            try:
                change(store, work, origin)
            except VfsError:
                continue
            if step % 10 == 0:
                index.runner.catch_up(60)
        fresh = Index(store, make_backend(SideContext(None, store.uuid)))
        for query in queries:
            for agent in ("akashi", "kuro", "third"):
                followed, anew = set(index.find(query, agent)), set(fresh.find(query, agent))
                assert followed == anew, f"{agent} looking for {query}"
        files = [each for each in everything(store) if each.stat and each.stat.kind is Kind.FILE]
        assert index.backend.documents() == fresh.backend.documents() == len(files)
        index.runner.rebuild()
        for query in queries:
            assert set(index.find(query)) == set(fresh.find(query)), query
        fresh.runner.close()

    def test_without_files_it_is_made_of_a_scan_alone(self, store: Store, make_backend: MakeBackend) -> None:
        """Of a moment of the past nothing else can be asked."""
        put(store, "/memory/a.md", b"The central bank", patch={"tags": ["money"]})
        put(store, "/memory/b.md", b"Nothing at all")
        head = store.head()
        backend = make_backend(SideContext(None, store.uuid))
        scan = SimpleNamespace(scan=store.scan, nodes=store.nodes, usage=store.usage)
        backend.rebuild(cast(Store, scan), Cursor(store.uuid, head.sequence, head.chain))
        query = SearchQuery("bank money", visible_to(store, "akashi"), tags=frozenset({"money"}))
        assert [match.node for match in backend.search(query)] == [id_of(store, "/memory/a.md")]
        backend.close()

    def test_applying_changes_again_changes_nothing(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus", patch={"tags": ["ice"]})
        put(store, "/memory/d/b.md", b"walrus")
        put(store, "/memory/d/c.md", b"walrus")
        change(store, lambda t: t.rename("/memory/d", "/memory/private/akashi/d"))
        change(store, lambda t: t.delete("/memory/private/akashi/d/c.md"))
        matches, documents = list(index.matches("walrus")), index.backend.documents()
        head = store.head()
        cursor = Cursor(store.uuid, head.sequence, head.chain)
        for after in (0, 5, head.sequence - 1):
            index.backend.apply(store.changes(after), store, cursor)
        assert (list(index.matches("walrus")), index.backend.documents()) == (matches, documents)

    def test_another_store_in_the_same_place_is_indexed_anew(
        self, store: Store, index: Index, make_backend: MakeBackend, context: SideContext
    ) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert index.find("walrus") == ["/memory/a.md"]
        index.backend.close()
        other = MemoryStore(FOUNDER)
        put(other, "/memory/b.md", b"seal")
        put(other, "/memory/c.md", b"seal")
        second = Index(other, make_backend(SideContext(context.path, other.uuid)))
        assert second.find("walrus") == []
        assert sorted(second.find("seal")) == ["/memory/b.md", "/memory/c.md"]
        assert second.backend.documents() == 2
        second.runner.close()

    def test_the_same_store_with_another_history_is_indexed_anew(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert index.find("walrus") == ["/memory/a.md"]
        restored = MemoryStore(FOUNDER)
        restored.uuid = store.uuid
        put(restored, "/memory/b.md", b"seal")
        put(restored, "/memory/c.md", b"seal")
        again = Index(restored, index.backend)
        assert again.find("walrus") == []
        assert sorted(again.find("seal")) == ["/memory/b.md", "/memory/c.md"]

    def test_an_index_opened_again_goes_on(
        self, store: Store, index: Index, make_backend: MakeBackend, context: SideContext
    ) -> None:
        put(store, "/memory/a.md", b"walrus")
        assert index.find("walrus") == ["/memory/a.md"]
        index.backend.close()
        again = Index(store, make_backend(context))
        assert again.backend.cursor() in (None, Cursor(store.uuid, *store.head()))
        put(store, "/memory/b.md", b"walrus")
        assert sorted(again.find("walrus")) == ["/memory/a.md", "/memory/b.md"]
        again.runner.close()

    def test_closing_twice_is_closing_once(self, store: Store, index: Index) -> None:
        put(store, "/memory/a.md", b"walrus")
        index.find("walrus")
        index.backend.close()
        index.backend.close()

    @pytest.mark.parametrize("way", ["scrub", "discard"])
    @pytest.mark.parametrize("rebuilt", [False, True])
    def test_what_is_deleted_is_in_no_file_after_scrubbing_and_all_else_is_found(
        self, store: Store, index: Index, context: SideContext, way: str, rebuilt: bool
    ) -> None:
        for number in range(50):
            text = b"walrus quetzalcoatlus" if number % 2 else "walrus 麒麟计划".encode()
            put(store, f"/memory/zyzzyvas{number}.md", text, patch={"tags": ["etikettchen"]})
        assert len(index.find("quetzalcoatlus")) == 25
        if rebuilt:
            index.runner.rebuild()
        for number in range(50):
            put(store, f"/memory/zyzzyvas{number}.md", b"walrus", patch={"tags": None})
            change(store, lambda t, n=number: t.rename(f"/memory/zyzzyvas{n}.md", f"/memory/{n}.md"))  # type: ignore[misc]
        if rebuilt:
            assert index.find("quetzalcoatlus") == []
        getattr(index.runner, way)()
        assert context.path is not None
        for file in [*index.backend.files(), *map(str, Path(context.path).parent.glob("*"))]:
            data = Path(file).read_bytes() if Path(file).is_file() else b""
            gone = ("quetzalcoatlus", "麒麟", "zyzzyva", "etikettchen")
            assert not any(word.encode() in data for word in gone), file
        assert index.find("quetzalcoatlus") == index.find("etikettchen") == []
        assert len(index.find("walrus")) == 50
        assert index.backend.documents() == 50

    def test_threads_search_while_one_indexes(self, store: Store, index: Index) -> None:
        put(store, "/memory/always.md", b"walrus")
        index.find("walrus")
        done = threading.Event()
        failures: list[object] = []

        def search() -> None:
            try:
                while not done.is_set():
                    query = SearchQuery("walrus", visible_to(store, "akashi"))
                    nodes = [match.node for match in index.backend.search(query)]
                    if id_of(store, "/memory/always.md") not in nodes:
                        failures.append(nodes)
            except BaseException as error:  # noqa: BLE001  # reported by the assertion below
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(40):
                put(store, f"/memory/{number}.md", b"walrus")
                index.runner.catch_up(60)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert len(index.find("walrus")) == 41


def put_if_possible(store: Store, path: str, data: bytes, origin: Origin) -> None:
    """Write a file, unless something is in the way."""
    try:
        put(store, path, data, origin)
    except VfsError:
        return
