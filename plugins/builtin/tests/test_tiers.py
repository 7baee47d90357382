"""An index in two tiers: notes are found and rated alike in both, and whatever befalls the engine, it is made anew."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm_builtin.search import tables, words
from avm_builtin.search.engine import Engine, Snapshot, Writer
from avm_builtin.search.words import Sizes, WordSearch, auto, fts5_alone
from vfs_core.errors import MissingExtra, StoreError, VfsError
from vfs_core.follower import Lease, Runner
from vfs_core.forgetting import traces
from vfs_core.index_check import index_errors
from vfs_core.journal import Cursor
from vfs_core.kernel import Kernel
from vfs_core.search import Match, SearchQuery, SideContext
from vfs_core.storage import Store, allow_all
from vfs_core.testing.memory_store import MemoryStore
from vfs_core.testing.search import visible_to
from vfs_core.testing.store_help import AKASHI, KURO, id_of, put
from vfs_core.testing.store_model import Dice
from vfs_core.visibility import Visible

EVERY_CLASS = frozenset(range(1, 1000))
EVERYTHING = Visible(EVERY_CLASS, EVERY_CLASS, frozenset(), frozenset(), 1000)
SYLLABLES = [c + v for c in "bdfgklmnprtvz" for v in "aeiou"]
VOCABULARY = [a + b + "k" for a in SYLLABLES for b in SYLLABLES][:2000]


def zipf_texts(count: int, seed: int = 1, shortest: int = 3) -> list[str]:
    generator = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]
    lengths = [generator.choice((shortest, 10, 30, 60, 200)) for _ in range(count)]
    return [" ".join(generator.choices(VOCABULARY, weights, k=length)) for length in lengths]


def tiered(path: Path, store: Store, alone: int = 0, waiting: int = 1000) -> WordSearch:
    return WordSearch(SideContext(str(path / "avm"), store.uuid), Sizes(alone, waiting))


def catch_up(store: Store, index: WordSearch) -> None:
    assert Runner(store, index, Lease(None)).catch_up(60) == 0


def matches(index: WordSearch, text: str, visible: Visible = EVERYTHING, limit: int = 10) -> list[Match]:
    return list(index.search(SearchQuery(text, visible, limit)))


def found(index: WordSearch, text: str, visible: Visible = EVERYTHING) -> set[int]:
    return {match.node for match in matches(index, text, visible)}


def write_all(store: Store, texts: list[str], place: str = "/memory/shared", first: int = 0) -> None:
    for start in range(0, len(texts), 500):
        with store.transaction(AKASHI, allow_all) as transaction:
            for number, text in enumerate(texts[start : start + 500], first + start):
                transaction.write(f"{place}/{number}.md", text.encode())


def waiting(index: WordSearch) -> int:
    with index._file.reading() as connection:
        assert connection is not None
        return int(connection.execute("SELECT count(*) FROM words_docsize").get)


def held(index: WordSearch) -> tables.Held:
    with index._file.reading() as connection:
        assert connection is not None
        return tables.held(connection)


def engine_files(path: Path) -> list[Path]:
    return [each for each in (path / "avm.index").rglob("*") if each.is_file()]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def both(store: MemoryStore, tmp_path: Path) -> Iterator[WordSearch]:
    """300 notes in the engine and 100 that wait for it."""
    index = tiered(tmp_path, store)
    write_all(store, zipf_texts(300))
    catch_up(store, index)
    write_all(store, zipf_texts(100, 2), first=300)
    catch_up(store, index)
    assert waiting(index) == 100
    yield index
    index.close()


QUERIES = [
    " ".join(random.Random(n).sample(VOCABULARY[: (20, 200, 2000)[n % 3]], n % 4 + 1)) for n in range(60)
]


# --- finding alike -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1 << 32), st.integers(0, 3), st.integers(1, 8))
def test_the_same_is_found_as_by_fts5_alone(
    tmp_path_factory: pytest.TempPathFactory, seed: int, alone: int, most: int
) -> None:
    store, dice, generator = MemoryStore(), Dice(seed), random.Random(seed)
    both = tiered(tmp_path_factory.mktemp("index"), store, alone, most)
    plain = fts5_alone(SideContext(None, store.uuid))
    vocabulary = ("walrus", "seal", "penguins", "局势", "紧张")
    for step in range(60):
        origin, (_, work) = dice.origin(), dice.step()
        try:
            if step % 2:
                put(store, dice.path(), " ".join(generator.choices(vocabulary, k=4)).encode(), origin)
            else:
                with store.transaction(origin, allow_all) as transaction:
                    work(transaction)
        except VfsError:
            continue
        if step % 7 == 0:
            catch_up(store, both)
    catch_up(store, both)
    catch_up(store, plain)
    for agent in ("akashi", "kuro", "third"):
        visible = visible_to(store, agent)
        for query in (*vocabulary, "wal*", "势", "seal penguin", "a b c"):
            assert {match[:2] for match in matches(both, query, visible)} == {
                match[:2] for match in matches(plain, query, visible)
            }, f"{agent} looking for {query}"
    assert both.documents() == plain.documents()
    both.close()


def test_the_order_is_that_of_an_index_made_anew(
    store: MemoryStore, both: WordSearch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    anew = tiered(tmp_path_factory.mktemp("anew"), store)
    catch_up(store, anew)
    assert waiting(anew) == 0
    overlaps = []
    for query in QUERIES:
        followed, other = matches(both, query), matches(anew, query)
        assert {match.node for match in followed} == {match.node for match in other}
        if len(other) >= 10:
            best = {match.node for match in other[:10]}
            overlaps.append(len(best & {match.node for match in followed[:10]}) / 10)
    assert len(overlaps) > 20
    assert sum(overlaps) / len(overlaps) >= 0.9
    both._hand_over(store)
    assert waiting(both) == 0
    for query in QUERIES:
        assert [match.node for match in matches(both, query)] == [
            match.node for match in matches(anew, query)
        ]
    anew.close()


def test_scores_are_those_of_fts5(store: MemoryStore, both: WordSearch) -> None:
    plain = fts5_alone(SideContext(None, store.uuid))
    catch_up(store, plain)
    for query in QUERIES:
        scores = {match.node: match.score for match in matches(plain, query)}
        for match in matches(both, query):
            assert match.score == pytest.approx(scores[match.node], abs=0.03), query


def test_scores_fall_also_from_page_to_page(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store)
    write_all(store, zipf_texts(900, shortest=1))
    catch_up(store, index)
    for query in QUERIES[:20]:
        scores = [match.score for match in matches(index, query, limit=1)]
        assert scores == sorted(scores, reverse=True)
    index.close()


def test_what_is_new_changed_or_deleted_is_so_at_once(store: MemoryStore, both: WordSearch) -> None:
    put(store, "/memory/shared/new.md", b"quokka")
    put(store, "/memory/shared/5.md", b"quokka quokka")
    put(store, "/memory/shared/350.md", b"quokka")
    with store.transaction(AKASHI, allow_all) as transaction:
        transaction.delete("/memory/shared/6.md")
        transaction.rename("/memory/shared/7.md", "/memory/shared/quokka.md")
    catch_up(store, both)
    assert waiting(both) > 100
    named = {id_of(store, f"/memory/shared/{name}.md") for name in ("new", "5", "350", "quokka")}
    assert found(both, "quokka") == named
    assert both.documents() == 400
    both._hand_over(store)
    assert found(both, "quokka") == named
    assert both.documents() == 400


def test_many_words_with_one_beginning_are_all_found(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store)
    write_all(store, [f"quokka{number}x" for number in range(200)])
    catch_up(store, index)
    assert len(found(index, "quokka*")) == 200
    assert len(found(index, "quokka1*")) == 111
    index.close()


# --- who sees what -------------------------------------------------------------------------------


def test_ten_thousand_hidden_notes_change_neither_hits_nor_order(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store)
    write_all(store, zipf_texts(200))
    catch_up(store, index)
    visible = visible_to(store, "kuro")
    before = {query: found(index, query, visible) for query in QUERIES[:9]}
    write_all(store, [" ".join(VOCABULARY[:5]) * 2] * 10_000, "/memory/private/akashi")
    catch_up(store, index)
    visible = visible_to(store, "kuro")
    assert {query: found(index, query, visible) for query in QUERIES[:9]} == before
    put(store, "/memory/private/kuro/mine.md", f"{VOCABULARY[0]} among other words".encode(), KURO)
    catch_up(store, index)
    mine = id_of(store, "/memory/private/kuro/mine.md")
    assert mine in {
        match.node
        for match in islice(index.search(SearchQuery(VOCABULARY[0], visible_to(store, "kuro"))), 201)
    }
    index._hand_over(store)
    assert mine in found(index, VOCABULARY[0], visible_to(store, "kuro"))
    index.close()


def test_a_note_shared_out_of_a_hidden_directory_is_found_behind_all_others(
    store: MemoryStore, tmp_path: Path
) -> None:
    index = tiered(tmp_path, store)
    write_all(store, ["walrus walrus walrus"] * 3000, "/memory/private/akashi")
    put(store, "/memory/private/akashi/last.md", b"one walrus in a long text of many other words " * 3)
    with store.transaction(AKASHI, allow_all) as transaction:
        transaction.share("/memory/private/akashi/last.md", "kuro", "r")
    catch_up(store, index)
    assert found(index, "walrus", visible_to(store, "kuro")) == {
        id_of(store, "/memory/private/akashi/last.md")
    }
    assert found(index, "walrus", visible_to(store, "third")) == set()
    index.close()


# --- which tier ----------------------------------------------------------------------------------


def test_a_small_index_has_no_engine_and_a_grown_one_has(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store, alone=50, waiting=20)
    write_all(store, zipf_texts(50))
    catch_up(store, index)
    assert not engine_files(tmp_path)
    write_all(store, zipf_texts(1), first=50)
    catch_up(store, index)
    assert engine_files(tmp_path)
    assert waiting(index) == 0
    write_all(store, zipf_texts(20), first=51)
    catch_up(store, index)
    assert waiting(index) == 20
    write_all(store, zipf_texts(1), first=71)
    catch_up(store, index)
    assert waiting(index) == 0
    index.close()


def test_deletes_alone_are_handed_over_too(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store, alone=0, waiting=20)
    write_all(store, zipf_texts(100))
    catch_up(store, index)
    with store.transaction(AKASHI, allow_all) as transaction:
        for number in range(21):
            transaction.delete(f"/memory/shared/{number}.md")
    catch_up(store, index)
    with index._file.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM gone").get == 0
    assert index.documents() == 79
    index.close()


def test_a_note_that_changes_while_it_is_handed_over_is_found_as_it_is(
    store: MemoryStore, both: WordSearch
) -> None:
    put(store, "/memory/shared/350.md", b"quokka")  # the index does not know yet
    both._hand_over(store)
    assert found(both, "quokka") == {id_of(store, "/memory/shared/350.md")}
    assert waiting(both) == 1
    catch_up(store, both)
    assert both.documents() == 400


def test_what_one_who_died_had_handed_over_is_taken_out_again(
    store: MemoryStore, both: WordSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("avm_builtin.search.tables.hold", die)
        both._hand_over(store)
    assert waiting(both) == 100
    before = {query: found(both, query) for query in QUERIES}
    both._hand_over(store)
    assert waiting(both) == 0
    assert {query: found(both, query) for query in QUERIES} == before
    snapshot = both._engine.snapshot(held(both).place, held(both).stamp)
    assert snapshot.searcher.num_docs == both.documents() == 400


def test_without_tantivy_everything_is_in_fts5(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SideContext(str(tmp_path / "avm"), store.uuid)
    index = WordSearch(context, Sizes(0, 10))
    write_all(store, zipf_texts(100))
    catch_up(store, index)
    assert engine_files(tmp_path)
    index.close()
    monkeypatch.setattr(words, "find_spec", lambda name: None)
    monkeypatch.setattr(words, "SMALL", 50)
    without = auto(context)
    assert without.cursor() is None
    catch_up(store, without)
    assert not engine_files(tmp_path)
    assert waiting(without) == 100
    assert "pip install" in without.advice()
    with pytest.raises(MissingExtra, match="pip install"):
        words.tantivy(context)
    without.close()


def test_in_memory_there_is_no_engine(store: MemoryStore) -> None:
    index = WordSearch(SideContext(None, store.uuid), Sizes(0, 0))
    write_all(store, zipf_texts(10))
    catch_up(store, index)
    assert waiting(index) == 10
    index.close()


# --- damage --------------------------------------------------------------------------------------


def remove_all(path: Path) -> None:
    shutil.rmtree(path / "avm.index")


def remove_meta(path: Path) -> None:
    next(path.glob("avm.index/*/meta.json")).unlink()


def spoil_meta(path: Path) -> None:
    next(path.glob("avm.index/*/meta.json")).write_text("{}")


def remove_a_segment(path: Path) -> None:
    next(path.glob("avm.index/*/*.term")).unlink()


def truncate(ending: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        for file in path.glob(f"avm.index/*/*.{ending}"):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    spoil.__name__ = f"truncate {ending}"
    return spoil


def empty_all(path: Path) -> None:
    for file in engine_files(path):
        file.write_bytes(b"")


def foreign(path: Path) -> None:
    import tantivy

    place = next((path / "avm.index").iterdir())
    shutil.rmtree(place)
    place.mkdir()
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("theirs")
    tantivy.Index(builder.build(), str(place))


DAMAGES = [
    remove_all, remove_meta, spoil_meta, remove_a_segment, empty_all, foreign,
    *map(truncate, ("term", "idx", "fast", "fieldnorm", "store")),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("open_before", [False, True])
def test_a_spoilt_engine_is_made_anew(
    store: MemoryStore, tmp_path: Path, damage: Callable[[Path], None], open_before: bool
) -> None:
    index = tiered(tmp_path, store, alone=0, waiting=20)
    write_all(store, [f"quokka number{number}" for number in range(100)])
    catch_up(store, index)
    if not open_before:
        index.close()
        damage(tmp_path)
        catch_up(store, index)
        assert len(found(index, "quokka")) == 100
    else:
        # Its files may be mapped: they are replaced, as who restores a backup does.
        shutil.copytree(tmp_path / "avm.index", tmp_path / "copy" / "avm.index")
        damage(tmp_path / "copy")
        shutil.rmtree(tmp_path / "avm.index")
        if (tmp_path / "copy" / "avm.index").exists():
            shutil.move(tmp_path / "copy" / "avm.index", tmp_path / "avm.index")
        write_all(store, ["walrus"] * 30, first=100)
        for _ in range(3):
            try:
                catch_up(store, index)
                assert len(found(index, "walrus")) == 30
                break
            except StoreError as error:
                assert "makes it anew" in str(error)
        assert len(found(index, "quokka")) == 100
    index.close()


def test_other_processes_notice_that_the_index_was_thrown_away(store: MemoryStore, tmp_path: Path) -> None:
    mine, theirs = (tiered(tmp_path, store, alone=0, waiting=20) for _ in range(2))
    write_all(store, zipf_texts(100))
    catch_up(store, mine)
    assert found(theirs, VOCABULARY[0]) == found(mine, VOCABULARY[0])
    theirs.discard()
    assert mine.cursor() is None
    assert found(mine, VOCABULARY[0]) == set()
    put(store, "/memory/shared/new.md", b"quokka")
    catch_up(store, theirs)
    assert found(mine, "quokka")
    assert found(mine, VOCABULARY[0]) == found(theirs, VOCABULARY[0])
    mine.close()
    theirs.close()


def test_an_index_that_is_made_anew_under_a_search_is_not_taken_for_a_damaged_one(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = (tiered(tmp_path, store, alone=0, waiting=20) for _ in range(2))
    write_all(store, zipf_texts(100))
    catch_up(store, theirs)
    anew: list[str] = []
    snapshot = Engine.snapshot

    def late(engine: Engine, place: str, stamp: int) -> Snapshot:
        if engine is mine._engine and not anew:
            theirs.rebuild(store, Cursor(store.uuid, *store.head()))
            anew.append(held(theirs).place)
        return snapshot(engine, place, stamp)

    monkeypatch.setattr(Engine, "snapshot", late)
    assert found(mine, VOCABULARY[0]) == found(theirs, VOCABULARY[0])
    assert anew == [held(mine).place]
    mine.close()
    theirs.close()


@pytest.mark.parametrize("step", ["put", "commit"])
def test_a_full_disk_keeps_the_words_where_they_are(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    index = tiered(tmp_path, store, alone=50, waiting=20)

    def full(*_: object) -> None:
        raise ValueError("IoError { io_error: Os { code: 28, kind: StorageFull } }")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, step, full)
        write_all(store, zipf_texts(49))
        catch_up(store, index)
        write_all(store, zipf_texts(10, 2), first=49)
        catch_up(store, index)
        assert waiting(index) == 59
        assert not engine_files(tmp_path)
    put(store, "/memory/shared/new.md", b"quokka")
    catch_up(store, index)
    assert waiting(index) == 0
    assert found(index, "quokka")
    index.close()


# --- forgetting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", ["engine", "newest", "both"])
def test_what_is_forgotten_is_in_no_file_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    monkeypatch.setattr(words, "SMALL", 10)
    with Kernel(None, tmp_path / "avm.db") as kernel:
        session = kernel.session("owner")
        secret = "quetzalcoatlus 麒麟计划 version directory"
        if tier != "newest":
            session.write("/memory/shared/zyzzyvas.md", secret)
        for number in range(30):
            session.write(f"/memory/shared/{number}.md", f"walrus {VOCABULARY[number]}")
        session.search("walrus")
        places = {each.name for each in (tmp_path / "avm.index").iterdir()}
        assert places
        if tier != "engine":
            session.append("/memory/shared/zyzzyvas.md", secret)
        assert session.search("quetzalcoatlus")
        told = session.forget_for_good("/memory/shared/zyzzyvas.md")
        assert told.scrubbed
        assert traces(session, told.texts) == []
        assert session.search("quetzalcoatlus") == session.search("zyzzyvas") == []
        assert len(session.search("walrus", limit=100)) == 30
        # What was never in the engine costs it nothing.
        assert ({each.name for each in (tmp_path / "avm.index").iterdir()} == places) is (tier == "newest")


# --- processes -----------------------------------------------------------------------------------

MULTI_THREADED = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_child(work: Callable[[], bool]) -> bool:
    """Whether `work` is true in a forked process that ends as Python programs do."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faulthandler.dump_traceback_later(25)  # says where it hangs
            signal.alarm(30)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


@MULTI_THREADED
def test_a_child_searches_and_hands_over_and_so_does_its_parent(store: MemoryStore, both: WordSearch) -> None:
    assert len(found(both, VOCABULARY[0])) > 10

    def goes_on() -> bool:
        put(store, "/memory/shared/child.md", b"quokka")
        catch_up(store, both)
        both._hand_over(store)
        return len(found(both, "quokka")) == 1 and len(found(both, VOCABULARY[0])) > 10

    assert in_child(goes_on)
    both.discard()  # the child had a store of its own, in memory
    put(store, "/memory/shared/parent.md", b"walrus")
    catch_up(store, both)
    both._hand_over(store)
    assert found(both, "walrus")


@MULTI_THREADED
def test_a_fork_while_words_are_handed_over_hangs_nobody(store: MemoryStore, tmp_path: Path) -> None:
    index = tiered(tmp_path, store, alone=0, waiting=5)
    write_all(store, zipf_texts(30))
    catch_up(store, index)
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            number = 30
            while not done.is_set():
                write_all(store, zipf_texts(6, number), first=number)
                catch_up(store, index)
                number += 6
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(15):
            assert in_child(lambda: len(found(index, VOCABULARY[0])) >= 1)
    finally:
        done.set()
        thread.join()
    assert failures == []
    catch_up(store, index)
    assert index.documents() == len(
        [each for each in store.scan(limit=100_000) if each.stat and not each.stat.is_directory]
    )
    index.close()


@MULTI_THREADED
@pytest.mark.parametrize("there", ["closed", "open"])
def test_it_is_searched_where_nobody_may_write(store: MemoryStore, tmp_path: Path, there: str) -> None:
    context = SideContext(str(tmp_path / "avm"), store.uuid, mode=0o644)
    index = WordSearch(context, Sizes(0, 1000))
    write_all(store, zipf_texts(100))
    catch_up(store, index)
    put(store, "/memory/shared/new.md", b"quokka")
    catch_up(store, index)
    if there == "closed":
        index.close()
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o555)

    def finds_it() -> bool:
        if os.geteuid() == 0:
            os.setuid(65534)  # nothing is forbidden to root
        assert not os.access(tmp_path, os.W_OK)
        reader = WordSearch(SideContext(context.path, store.uuid, writable=False), Sizes(0, 1000))
        return (
            len(found(reader, "quokka")) == 1
            and len(found(reader, VOCABULARY[0])) > 10
            and reader.cursor() is not None
        )

    try:
        assert in_child(finds_it)
    finally:
        for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            directory.chmod(0o755)
    index.close()


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_files_get_the_mode_that_was_asked_for(store: MemoryStore, tmp_path: Path, mode: int) -> None:
    old = os.umask(0o077)
    try:
        index = WordSearch(SideContext(str(tmp_path / "avm"), store.uuid, mode=mode), Sizes(0, 10))
        write_all(store, zipf_texts(20))
        catch_up(store, index)
        write_all(store, zipf_texts(11), first=20)
        catch_up(store, index)
    finally:
        os.umask(old)
    assert {file.stat().st_mode & 0o777 for file in engine_files(tmp_path)} == {mode}
    directories = [
        each for each in (tmp_path / "avm.index", *(tmp_path / "avm.index").iterdir()) if each.is_dir()
    ]
    assert {each.stat().st_mode & 0o777 for each in directories} == {mode | (mode & 0o444) >> 2}
    index.close()


KILLED = """
import json, sys
from avm_builtin.search import tables, words
words.SMALL, words.WAITING = 30, 10
from vfs_core.kernel import Kernel
db, first = json.loads(sys.argv[1])
with Kernel(None, db) as kernel:
    session = kernel.session("owner")
    for number in range(first, first + 100_000):
        session.write(f"/memory/shared/{number % 500}.md", f"walrus number{number}")
        if number % 7 == 0:
            session.delete(f"/memory/shared/{number % 500}.md")
        session.search("walrus", limit=3)
        print(number, flush=True)
"""


def test_an_index_whose_writers_are_killed_is_as_if_they_had_not_been(tmp_path: Path) -> None:
    db, first = str(tmp_path / "avm.db"), 0
    generator = random.Random(5)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, json.dumps([db, first])], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = list(islice(process.stdout, generator.randint(5, 60)))
            process.kill()
        assert lines
        first = int(lines[-1]) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "SMALL", 30)
        patch.setattr(words, "WAITING", 10)
        with Kernel(None, db) as kernel:
            session = kernel.session("owner")
            assert not index_errors(session.kernel.search())
            followed = {hit.path for hit in session.search("walrus", limit=1000)}
            assert len(list((tmp_path / "avm.index").iterdir())) == 1
            kernel.search().rebuild()
            assert {hit.path for hit in session.search("walrus", limit=1000)} == followed
            assert len(followed) == session.stats().notes
