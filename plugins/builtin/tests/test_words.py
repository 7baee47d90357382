"""The FTS5 backend: it finds what may be seen, follows the journal, and makes a damaged file anew."""

from __future__ import annotations

import os
import random
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avm_builtin.search.side import Damaged
from avm_builtin.search.text import terms, tokens
from avm_builtin.search.words import WordSearch, auto
from vfs_core.errors import ReadOnly, VfsError
from vfs_core.follower import Lease, Runner
from vfs_core.journal import Cursor
from vfs_core.search import SearchQuery, SideContext
from vfs_core.storage import Found, Store, Transaction, allow_all
from vfs_core.testing.memory_store import MemoryStore
from vfs_core.testing.store_help import id_of
from vfs_core.types import JSON, Kind, Origin, Stat
from vfs_core.visibility import DirectoryClass, Visible

AKASHI = Origin("akashi", "akashi", "python")
KURO = Origin("kuro", "kuro", "python")
EVERY_CLASS = frozenset(range(1, 10_000))
EVERYTHING = Visible(EVERY_CLASS, EVERY_CLASS, frozenset(), frozenset(), 10_000)
NOTHING = Visible(frozenset(), frozenset(), frozenset(), frozenset(), 10_000)


def change(store: Store, work: Callable[[Transaction], object], origin: Origin = AKASHI) -> None:
    with store.transaction(origin, allow_all) as transaction:
        work(transaction)


def put(store: Store, path: str, content: str | bytes = "", origin: Origin = AKASHI, **patch: JSON) -> None:
    data = content.encode() if isinstance(content, str) else content
    change(store, lambda transaction: transaction.write(path, data, patch=patch), origin)


def context(path: Path | None, store: Store, *, writable: bool = True, mode: int = 0o600) -> SideContext:
    return SideContext(None if path is None else str(path), store.uuid, writable, mode)


def catch_up(store: Store, index: WordSearch) -> None:
    assert Runner(store, index, Lease(None)).catch_up(60) == 0


def found(
    index: WordSearch, text: str, visible: Visible = EVERYTHING, limit: int = 10, tags: str = ""
) -> list[int]:
    query = SearchQuery(text, visible, limit, frozenset(tags.split()))
    return [match.node for match in index.search(query)]


def paths(
    store: Store, index: WordSearch, text: str, visible: Visible = EVERYTHING, tags: str = ""
) -> list[str]:
    return [name.path for name in store.nodes(found(index, text, visible, tags=tags))]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["memory", "file"])
def index(request: pytest.FixtureRequest, store: MemoryStore, tmp_path: Path) -> Iterator[WordSearch]:
    backend = auto(context(None if request.param == "memory" else tmp_path / "avm", store))
    yield backend
    backend.close()


@pytest.fixture
def file_index(store: MemoryStore, tmp_path: Path) -> Iterator[WordSearch]:
    backend = auto(context(tmp_path / "avm", store))
    yield backend
    backend.close()


# --- finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["局势", "紧张", "局势紧张", "局", "张", "中东的局势"])
def test_chinese_is_found_by_any_of_its_words(store: MemoryStore, index: WordSearch, query: str) -> None:
    put(store, "/memory/a.md", "中东局势紧张")
    put(store, "/memory/b.md", "油价上涨")
    catch_up(store, index)
    assert paths(store, index, query) == ["/memory/a.md"]


def test_body_name_title_and_tags_are_found(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/first.md", "alpha")
    put(store, "/memory/risk_report.md")
    put(store, "/memory/third.md", "", title="Quarterly Outlook")
    put(store, "/memory/fourth.md", "", tags=["semi-conductors"])
    catch_up(store, index)
    assert paths(store, index, "alpha") == ["/memory/first.md"]
    assert paths(store, index, "risk") == ["/memory/risk_report.md"]
    assert paths(store, index, "outlook quarter*") == ["/memory/third.md"]
    assert paths(store, index, "semi") == ["/memory/fourth.md"]


def test_a_name_weighs_more_than_a_body(store: MemoryStore, index: WordSearch) -> None:
    for number in range(20):
        put(store, f"/memory/other{number}.md", "some other words here")
    put(store, "/memory/body.md", "nvidia earnings are due")
    put(store, "/memory/nvidia.md", "earnings are due soon")
    catch_up(store, index)
    assert paths(store, index, "nvidia") == ["/memory/nvidia.md", "/memory/body.md"]


def test_a_note_of_one_word_does_not_win_by_its_shortness(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/a.md", "walrus?")
    put(store, "/memory/b.md", "A walrus eats clams; the tusks of a walrus are as long as the arm of a man.")
    for number in range(20):
        put(
            store,
            f"/memory/c{number}.md",
            "something else of about the same length, on the ground of the sea",
        )
    catch_up(store, index)
    best, second = found(index, "walrus")
    assert (best, second) == (id_of(store, "/memory/b.md"), id_of(store, "/memory/a.md"))


def test_scores_are_in_the_unit_interval_and_fall(store: MemoryStore, index: WordSearch) -> None:
    for number in range(50):
        put(store, f"/memory/{number}", "market " * (number % 7) + "risk " * (number % 3) + "note")
    catch_up(store, index)
    scores = [match.score for match in index.search(SearchQuery("market risk", EVERYTHING))]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score < 1 for score in scores)
    assert len(set(scores)) > 5


def test_equals_come_in_the_order_of_their_ids(store: MemoryStore, index: WordSearch) -> None:
    for number in range(40):
        put(store, f"/memory/{random.Random(number).random()}", "same words")
    catch_up(store, index)
    assert found(index, "same") == sorted(found(index, "same"))
    assert len(found(index, "same")) == 40


def test_tags_filter_by_whole_tags_all_of_which_must_be_there(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/a", "note", tags=["risk", "oil"])
    put(store, "/memory/b", "note", tags=["risk-off"])
    put(store, "/memory/c", "note")
    catch_up(store, index)
    assert paths(store, index, "note", tags="risk") == ["/memory/a"]
    assert paths(store, index, "note", tags="risk oil") == ["/memory/a"]
    assert paths(store, index, "note", tags="risk gas") == []
    assert paths(store, index, "note", tags="%") == []


def test_what_is_no_text_is_found_by_name_only(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/picture.png", b"\xff\xfe\x00 alpha")
    put(store, "/memory/cut.md", "x" * ((1 << 20) - 1) + "é beta")
    put(store, "/memory/long.md", "gamma " + "x" * (1 << 20) + " delta")
    catch_up(store, index)
    assert paths(store, index, "picture") == ["/memory/picture.png"]
    assert paths(store, index, "alpha") == []
    assert sorted(paths(store, index, "x*")) == ["/memory/cut.md", "/memory/long.md"]
    assert paths(store, index, "gamma") == ["/memory/long.md"]
    assert paths(store, index, "delta beta") == []


def test_directories_are_not_indexed(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/alpha/note", "beta")
    catch_up(store, index)
    assert paths(store, index, "alpha") == []
    assert index.documents() == 1


def test_snippets_come_from_the_analyser(index: WordSearch) -> None:
    assert "needle" in index.snippet("filler " * 99 + "needle " + "filler " * 99, "needles", 40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(codec=None), max_size=60) | st.text('*"()-+:^{}ANDORNOTEAR a局\0', max_size=40))
def test_any_text_is_a_query(index: WordSearch, store: MemoryStore, text: str) -> None:
    if index.cursor() is None:
        put(store, "/memory/a", "near and or not 局势 a")
        catch_up(store, index)
    matches = list(index.search(SearchQuery(text, EVERYTHING)))
    wanted, indexed = terms(text), tokens("a near and or not 局势 a").split()
    hit = any(
        token == term.text or (term.prefix and token.startswith(term.text))
        for token in indexed
        for term in wanted
    )
    assert len(matches) == hit


def test_a_very_long_query_is_a_query(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)
    noise = "".join(chr(random.Random(n).randrange(32, 0x3000)) for n in range(100_000))
    list(index.search(SearchQuery(noise, EVERYTHING)))
    assert paths(store, index, "alpha " + noise) == ["/memory/a"]


# --- who sees what -------------------------------------------------------------------------------

CLASSES = st.frozensets(st.integers(1, 4))
PAIRS = st.frozensets(st.tuples(st.integers(1, 4), st.integers(1, 4)))
VISIBLE = st.builds(Visible, CLASSES, CLASSES, PAIRS, CLASSES, st.just(4))
DOCUMENTS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(1, 4), st.sampled_from(["alpha", "beta", "alpha beta", "gamma"])
    ),
    max_size=12,
)


class Shelf(MemoryStore):
    """Files with classes as told: (directory's class, own class, content). Quick at any number."""

    def __init__(self, files: Sequence[tuple[int, int, str]]) -> None:
        super().__init__()
        self.files = [
            Found(
                f"/d{within}/n{number}",
                Stat(number, Kind.FILE, 0o644, "a", "a", len(content), 1, 0, 0, 0),
                within,
                own,
                within + 100,
                1,
                data=content.encode(),
            )
            for number, (within, own, content) in enumerate(files, start=1)
        ]

    def scan(self, after: int = 0, limit: int = 1000, *, content: bool = False) -> list[Found]:
        return self.files[after : after + limit]

    def nodes(self, ids: Sequence[int], *, content: bool = False) -> list[Found]:
        return [self.files[id - 1] for id in ids]


@settings(deadline=None)
@given(DOCUMENTS, VISIBLE)
def test_the_filter_is_what_visible_says(files: list[tuple[int, int, str]], visible: Visible) -> None:
    shelf = Shelf(files)
    index = auto(context(None, shelf))
    catch_up(shelf, index)
    expected = {
        number
        for number, (within, own, content) in enumerate(files, start=1)
        if "alpha" in content and (within, own) in visible
    }
    assert set(found(index, "alpha", visible)) == expected
    index.close()


def test_ten_thousand_hidden_notes_push_out_no_visible_one() -> None:
    shelf = Shelf(
        [(1, 1, "secret market market market")] * 10_000 + [(2, 2, "one mention of the market among others")]
    )
    index = auto(context(None, shelf))
    catch_up(shelf, index)
    mine = Visible(frozenset({2}), frozenset({2}), frozenset(), frozenset(), 2)
    assert found(index, "market", mine, limit=1) == [10_001]
    assert found(index, "market", NOTHING) == []
    index.close()


def test_a_node_with_two_names_is_found_by_the_name_that_may_be_seen(
    store: MemoryStore, index: WordSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "/memory/a", "alpha")
    (name,) = store.nodes([id_of(store, "/memory/a")])
    names = [
        name._replace(path="/one/beta", parent=71, within=7),
        name._replace(path="/two/gamma", parent=81, within=8),
    ]
    monkeypatch.setattr(store, "nodes", lambda ids, content=False: [n._replace(data=b"alpha") for n in names])
    monkeypatch.setattr(store, "scan", lambda after=0, limit=1000, content=False: [] if after else names)
    catch_up(store, index)
    for within, directory in ((7, 71), (8, 81)):
        visible = Visible(frozenset({within}), EVERY_CLASS, frozenset(), frozenset(), 9)
        assert [match.directory for match in index.search(SearchQuery("alpha", visible))] == [directory]
    assert index.documents() == 2
    assert len(list(index.search(SearchQuery("alpha", EVERYTHING)))) == 2
    assert [match.directory for match in index.search(SearchQuery("gamma", EVERYTHING))] == [81]
    del names[0]
    index.apply(store.changes(), store, Cursor(store.uuid, 99, b""))
    assert index.documents() == 1


def test_a_search_goes_on_to_the_last_match() -> None:
    shelf = Shelf([(1, 1, "market " * (number % 5 + 1)) for number in range(1000)])
    index = auto(context(None, shelf))
    catch_up(shelf, index)
    matches = list(index.search(SearchQuery("market", EVERYTHING, limit=3)))
    assert len(matches) == len({match.node for match in matches}) == 1000
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)
    index.close()


def test_a_search_in_progress_neither_blocks_nor_suffers_from_indexing(
    store: MemoryStore, index: WordSearch
) -> None:
    for number in range(100):
        put(store, f"/memory/{number}", "market")
    catch_up(store, index)
    before = set(found(index, "market"))
    matches = index.search(SearchQuery("market", EVERYTHING, limit=1))
    taken = [next(matches).node]
    for number in range(20):
        put(store, f"/memory/new{number}", "market market market")
    catch_up(store, index)
    taken += [match.node for match in matches]
    assert len(taken) == len(set(taken))
    assert before <= set(taken)


def classes_of(store: Store, agent: str | None) -> Visible:
    """What an agent sees by spaces and shares alone (None: what everybody sees)."""
    classes = store.classes()
    directories = {id: value for id, value in classes if isinstance(value, DirectoryClass)}
    nodes = {id: value for id, value in classes if not isinstance(value, DirectoryClass)}
    return Visible(
        frozenset(
            id
            for id, value in directories.items()
            if value.space in (None, agent) and all(bar.owner == agent for bar in value.bars)
        ),
        frozenset(id for id, value in nodes.items() if value.mode & 4 or value.owner == agent),
        frozenset(
            (id, node)
            for id, value in directories.items()
            for grant in value.grants
            for node, own in nodes.items()
            if grant.agent == agent and grant.owner == own.owner
        ),
        frozenset(id for id, value in nodes.items() if agent in value.shares),
        len(classes),
    )


# --- following -----------------------------------------------------------------------------------


def test_a_changed_note_is_found_by_its_new_words_only(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)
    put(store, "/memory/a", "beta", tags=["gamma"])
    catch_up(store, index)
    assert [len(found(index, word)) for word in ("alpha", "beta", "gamma")] == [0, 1, 1]


def test_metadata_that_changes_alone_is_found(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)
    change(
        store, lambda transaction: transaction.update_meta("/memory/a", {"title": "beta", "tags": ["gamma"]})
    )
    catch_up(store, index)
    assert [len(found(index, word)) for word in ("alpha", "beta", "gamma")] == [1, 1, 1]
    assert found(index, "alpha", tags="gamma")


def test_a_deleted_note_is_gone(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/d/a", "alpha")
    put(store, "/memory/d/b", "alpha")
    catch_up(store, index)
    change(store, lambda transaction: transaction.delete("/memory/d/a"))
    catch_up(store, index)
    assert paths(store, index, "alpha") == ["/memory/d/b"]
    change(store, lambda transaction: transaction.delete("/memory/d", recursive=True))
    catch_up(store, index)
    assert index.documents() == 0


def test_a_renamed_note_is_found_by_its_new_name_only(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/alpha", "text")
    put(store, "/memory/beta", "replaced")
    catch_up(store, index)
    change(store, lambda transaction: transaction.rename("/memory/alpha", "/memory/beta", replace=True))
    catch_up(store, index)
    assert [len(found(index, word)) for word in ("alpha", "beta", "replaced", "text")] == [0, 1, 0, 1]


def test_moving_a_directory_changes_who_sees_what_is_far_below(store: MemoryStore, index: WordSearch) -> None:
    put(store, "/memory/private/akashi/plans/deep/er/a", "alpha")
    for below in ("", "/deep", "/deep/er", "/deep/er/a"):
        change(store, lambda work, path=f"/memory/private/akashi/plans{below}": work.set_mode(path, 0o755))  # type: ignore[misc]
    catch_up(store, index)
    assert found(index, "alpha", classes_of(store, "akashi"))
    assert not found(index, "alpha", classes_of(store, None))
    change(
        store, lambda transaction: transaction.rename("/memory/private/akashi/plans", "/memory/shared/plans")
    )
    catch_up(store, index)
    assert found(index, "alpha", classes_of(store, None))


def test_sharing_a_directory_shows_what_is_below_and_taking_it_back_hides_it(
    store: MemoryStore, index: WordSearch
) -> None:
    for number in range(3):
        put(store, f"/memory/private/akashi/d{number}/deep/a", "alpha")
    catch_up(store, index)
    change(store, lambda transaction: transaction.share("/memory/private/akashi/d1", "kuro", "r"))
    catch_up(store, index)
    assert paths(store, index, "alpha", classes_of(store, "kuro")) == ["/memory/private/akashi/d1/deep/a"]
    change(store, lambda transaction: transaction.share("/memory/private/akashi/d1", "kuro", None))
    catch_up(store, index)
    assert not found(index, "alpha", classes_of(store, "kuro"))


def test_modes_owners_and_shares_of_a_note_reach_the_index_without_its_content(
    store: MemoryStore, index: WordSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "/memory/a", "alpha")
    change(store, lambda transaction: transaction.set_mode("/memory/a", 0o600))
    catch_up(store, index)
    assert not found(index, "alpha", classes_of(store, "kuro"))

    def without_content(ids: Sequence[int], *, content: bool = False) -> list[Found]:
        assert not content
        return MemoryStore.nodes(store, ids)

    monkeypatch.setattr(store, "nodes", without_content)
    change(store, lambda transaction: transaction.share("/memory/a", "kuro", "r"))
    catch_up(store, index)
    assert found(index, "alpha", classes_of(store, "kuro"))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "append", "meta", "delete", "rename", "replace", "mode", "share", "unshare", "mkdir"]
        ),
        st.sampled_from(
            [
                "/memory/a",
                "/memory/d",
                "/memory/d/a",
                "/memory/d/e",
                "/memory/d/e/b",
                "/memory/private/kuro/d",
            ]
        ),
        st.sampled_from(
            ["/memory/b", "/memory/d/b", "/memory/f", "/memory/private/akashi/d", "/memory/private/kuro/d"]
        ),
        st.sampled_from(["alpha", "beta", "alpha beta", "局势"]),
    ),
    max_size=15,
)


def step(transaction: Transaction, operation: str, path: str, other: str, words: str) -> None:
    work: Mapping[str, Callable[[], object]] = {
        "write": lambda: transaction.write(path, words.encode()),
        "append": lambda: transaction.append(path, b" " + words.encode()),
        "meta": lambda: transaction.update_meta(path, {"title": words, "tags": [words]}),
        "delete": lambda: transaction.delete(path, recursive=True),
        "rename": lambda: transaction.rename(path, other),
        "replace": lambda: transaction.rename(path, other, replace=True),
        "mode": lambda: transaction.set_mode(path, 0o700 if words == "alpha" else 0o755),
        "share": lambda: transaction.share(path, "kuro", "r"),
        "unshare": lambda: transaction.share(path, "kuro", None),
        "mkdir": lambda: transaction.mkdir(path, parents=True),
    }
    work[operation]()


@settings(deadline=None)
@given(STEPS, st.integers(1, 5))
def test_an_index_that_followed_is_the_index_made_anew(
    steps: list[tuple[str, str, str, str]], pause: int
) -> None:
    store = MemoryStore()
    followed, anew = auto(context(None, store)), auto(context(None, store))
    catch_up(store, followed)
    for number, arguments in enumerate(steps):
        try:
            change(store, lambda transaction, given=arguments: step(transaction, *given))  # type: ignore[misc]
        except VfsError:
            continue
        if number % pause == 0:
            catch_up(store, followed)
    catch_up(store, followed)
    catch_up(store, anew)
    assert followed.documents() == anew.documents()
    for visible in (
        EVERYTHING,
        classes_of(store, None),
        classes_of(store, "kuro"),
        classes_of(store, "akashi"),
    ):
        for word in ("alpha", "beta", "局势", "a", "b"):
            query = SearchQuery(word, visible)
            assert {match[:2] for match in followed.search(query)} == {
                match[:2] for match in anew.search(query)
            }
    followed.close()
    anew.close()


def test_applying_changes_again_changes_nothing(store: MemoryStore, index: WordSearch) -> None:
    for number in range(10):
        put(store, f"/memory/{number % 4}", f"alpha {number}", tags=["beta"])
    catch_up(store, index)
    before = list(index.search(SearchQuery("alpha beta", EVERYTHING)))
    head = store.head()
    for _ in range(2):
        index.apply(store.changes(), store, Cursor(store.uuid, head.sequence, head.chain))
    assert list(index.search(SearchQuery("alpha beta", EVERYTHING))) == before
    assert index.documents() == 4


def test_a_failure_half_way_leaves_the_index_where_it_was(
    store: MemoryStore, index: WordSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)
    cursor = index.cursor()
    put(store, "/memory/a", "beta")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(
            "avm_builtin.search.documents.document", lambda *_: (_ for _ in ()).throw(RuntimeError())
        )
        catch_up(store, index)
    assert index.cursor() == cursor
    assert found(index, "alpha")
    catch_up(store, index)
    assert not found(index, "alpha")
    assert found(index, "beta")


def test_a_rebuild_says_how_far_it_is(store: MemoryStore, index: WordSearch) -> None:
    for number in range(5):
        put(store, f"/memory/{number}", "alpha")
    told: list[tuple[int, int]] = []
    Runner(store, index, Lease(None)).rebuild(lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)


# --- the side file -------------------------------------------------------------------------------


def test_nothing_is_made_before_anything_is_indexed(file_index: WordSearch, tmp_path: Path) -> None:
    assert file_index.cursor() is None
    assert file_index.documents() == 0
    assert found(file_index, "alpha") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o664])
def test_files_get_the_mode_that_was_asked_for(store: MemoryStore, tmp_path: Path, mode: int) -> None:
    old = os.umask(0o077)
    try:
        index = auto(context(tmp_path / "avm", store, mode=mode))
        catch_up(store, index)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes == {"avm.index.db": mode, "avm.index.db-wal": mode, "avm.index.db-shm": mode}
    index.close()


def test_it_is_there_when_opened_again(store: MemoryStore, tmp_path: Path) -> None:
    put(store, "/memory/a", "alpha")
    first = auto(context(tmp_path / "avm", store))
    catch_up(store, first)
    cursor = first.cursor()
    first.close()
    again = auto(context(tmp_path / "avm", store))
    assert again.cursor() == cursor
    assert found(again, "alpha")
    again.close()


def test_the_index_of_another_store_finds_nothing_and_is_made_anew(
    store: MemoryStore, tmp_path: Path
) -> None:
    put(store, "/memory/a", "alpha")
    index = auto(context(tmp_path / "avm", store))
    catch_up(store, index)
    index.close()
    other = MemoryStore()
    put(other, "/memory/b", "beta")
    index = auto(context(tmp_path / "avm", other))
    assert found(index, "alpha") == []
    catch_up(other, index)
    assert (len(found(index, "alpha")), len(found(index, "beta"))) == (0, 1)
    index.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    with apsw.Connection(str(path)) as connection:
        connection.execute("CREATE TABLE theirs (x); PRAGMA application_id = 7")
    connection.close()


def other_version(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 999)
    connection.close()


def beheaded(path: Path) -> None:
    path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("damage", [garbage, empty, foreign, other_version, beheaded, truncated])
def test_an_unusable_file_is_empty_to_readers_and_made_anew_by_who_writes(
    store: MemoryStore, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    put(store, "/memory/a", "alpha " * 2000 + "".join(f" w{n}" for n in range(3000)))
    index = auto(context(tmp_path / "avm", store))
    catch_up(store, index)
    index.close()
    file = tmp_path / "avm.index.db"
    if damage in (garbage, empty, foreign):
        file.unlink()
    damage(file)
    reader = auto(context(tmp_path / "avm", store, writable=False))
    if damage is not truncated:
        assert reader.cursor() is None
        assert reader.documents() == 0
        assert found(reader, "alpha") == []
    writer = auto(context(tmp_path / "avm", store))
    catch_up(store, writer)
    if damage is truncated:
        put(store, "/memory/b", "beta")
        catch_up(store, writer)
    assert found(writer, "alpha")
    assert found(reader, "alpha"), "a reader that is open finds the new file"
    reader.close()
    writer.close()


def test_damage_found_by_a_search_is_told_and_mended_by_the_next_process(
    store: MemoryStore, tmp_path: Path
) -> None:
    for number in range(200):
        put(store, f"/memory/{number}", " ".join(f"w{number}x{word}" for word in range(100)))
    index = auto(context(tmp_path / "avm", store))
    catch_up(store, index)
    index.close()
    file = tmp_path / "avm.index.db"
    data = file.read_bytes()
    file.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    index = auto(context(tmp_path / "avm", store))
    with pytest.raises(Damaged, match=r"avm\.index\.db is damaged"):
        found(index, "w7x7")
    assert index.cursor() is None
    catch_up(store, index)
    assert len(found(index, "w7x7")) == 1
    index.close()


def test_damage_found_while_indexing_is_mended_at_once(store: MemoryStore, tmp_path: Path) -> None:
    for number in range(200):
        put(store, f"/memory/{number}", " ".join(f"w{number}x{word}" for word in range(100)))
    index = auto(context(tmp_path / "avm", store))
    catch_up(store, index)
    index.close()
    file = tmp_path / "avm.index.db"
    data = file.read_bytes()
    file.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    index = auto(context(tmp_path / "avm", store))
    head = store.head()
    index.apply(store.changes(), store, Cursor(store.uuid, head.sequence, head.chain))
    assert len(found(index, "w7x7")) == 1
    assert index.documents() == 200
    index.close()


def test_a_file_thrown_away_under_an_open_index_is_noticed(store: MemoryStore, tmp_path: Path) -> None:
    put(store, "/memory/a", "alpha")
    mine, theirs = (auto(context(tmp_path / "avm", store)) for _ in range(2))
    catch_up(store, mine)
    assert found(mine, "alpha")
    for file in tmp_path.iterdir():
        file.unlink()
    assert mine.cursor() is None
    put(store, "/memory/b", "alpha")
    catch_up(store, theirs)
    assert len(found(mine, "alpha")) == 2
    put(store, "/memory/c", "alpha")
    catch_up(store, mine)
    assert len(found(theirs, "alpha")) == 3
    mine.close()
    theirs.close()


def test_changes_alone_do_not_make_an_index(
    store: MemoryStore, file_index: WordSearch, tmp_path: Path
) -> None:
    put(store, "/memory/a", "alpha")
    put(store, "/memory/b", "beta")
    head = store.head()
    file_index.apply(store.changes(head.sequence - 1), store, Cursor(store.uuid, head.sequence, head.chain))
    assert found(file_index, "alpha")


def test_who_may_not_write_reads_what_is_there(store: MemoryStore, tmp_path: Path) -> None:
    put(store, "/memory/a", "alpha")
    reader = auto(context(tmp_path / "avm", store, writable=False))
    assert (reader.documents(), found(reader, "alpha"), reader.cursor()) == (0, [], None)
    writer = auto(context(tmp_path / "avm", store))
    catch_up(store, writer)
    assert found(reader, "alpha")
    with pytest.raises(ReadOnly, match=r"avm\.index\.db"):
        reader.rebuild(store, Cursor(store.uuid, 1, b""))
    reader.close()
    writer.close()


def in_child(work: Callable[[], bool]) -> bool:
    """Whether `work` is true in a forked process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_closed_index_opens_in_a_directory_that_nobody_may_write(
    store: MemoryStore, tmp_path: Path
) -> None:
    put(store, "/memory/a", "alpha")
    index = auto(context(tmp_path / "avm", store, mode=0o644))
    catch_up(store, index)
    index.close()
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o555)

    def finds_it() -> bool:
        if os.geteuid() == 0:
            os.setuid(65534)  # Nothing is forbidden to root.
        assert not os.access(tmp_path, os.W_OK)
        reader = auto(context(tmp_path / "avm", store, writable=False))
        return len(found(reader, "alpha")) == 1 and reader.cursor() is not None

    try:
        assert in_child(finds_it)
    finally:
        for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            directory.chmod(0o755)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_opens_its_own_connections_and_leaves_the_parents(
    store: MemoryStore, index: WordSearch
) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)

    def uses_it() -> bool:
        put(store, "/memory/b", "alpha")
        catch_up(store, index)
        both = len(found(index, "alpha")) == 2
        index.close()
        return both

    assert in_child(uses_it)
    put(store, "/memory/c", "beta")
    catch_up(store, index)
    assert found(index, "alpha")
    assert found(index, "beta")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_waits_for_no_lock_that_a_thread_of_its_parent_held(
    store: MemoryStore, index: WordSearch
) -> None:
    put(store, "/memory/a", "alpha")
    catch_up(store, index)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with index._file.reading():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def searches() -> bool:
        signal.alarm(10)
        return len(found(index, "alpha")) == 1

    try:
        assert in_child(searches)
    finally:
        done.set()
        thread.join()


def test_threads_search_while_one_indexes(store: MemoryStore, index: WordSearch) -> None:
    for number in range(50):
        put(store, f"/memory/{number}", "alpha")
    catch_up(store, index)
    stop = threading.Event()
    wrong: list[object] = []

    def search() -> None:
        while not stop.is_set():
            try:
                count = len(found(index, "alpha"))
                if count < 50:
                    wrong.append(count)
            except (VfsError, apsw.Error) as error:
                wrong.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        put(store, f"/memory/new{number}", "alpha")
        catch_up(store, index)
    head = store.head()
    index.rebuild(store, Cursor(store.uuid, head.sequence, head.chain))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(found(index, "alpha")) == 80
