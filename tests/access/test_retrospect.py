"""Searching as of a moment finds what looking back shows, under the names of then, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfs_core.config import Config, HistorySettings
from vfs_core.errors import Denied, Invalid, VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.types import KeyScope, Principal

NOTE = "/memory/note.md"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as opened:
        yield opened


@pytest.fixture
def ana(kernel: Kernel) -> Session:
    return kernel.session("ana")


@pytest.fixture
def bob(kernel: Kernel) -> Session:
    return kernel.session("bob")


def moment() -> int:
    """A moment that lies between what was and what comes."""
    time.sleep(0.002)
    now = time.time_ns()
    time.sleep(0.002)
    return now


def found(session: Session, query: str, then: int, **only: object) -> list[str]:
    return [hit.path for hit in session.search(query, 100, as_of=then, **only)]  # type: ignore[arg-type]


def test_old_texts_are_found_and_new_ones_are_not(ana):
    ana.write(NOTE, "the parrot is alive", {"tags": ["bird"], "title": "State"})
    then = moment()
    ana.write(NOTE, "the parrot is dead", {"tags": ["norwegian"], "title": "Late"})
    ana.write("/memory/later.md", "another parrot")
    assert found(ana, "alive", then) == [NOTE]
    assert found(ana, "dead", then) == []
    assert found(ana, "parrot", then) == [NOTE]
    assert found(ana, "state", then) == [NOTE]
    assert found(ana, "parrot", then, tags=["bird"]) == [NOTE]
    assert found(ana, "parrot", then, tags=["norwegian"]) == []
    assert sorted(found(ana, "parrot", moment())) == ["/memory/later.md", NOTE]
    hit = ana.search("parrot", as_of=then)[0]
    assert (hit.snippet, hit.stat.version, hit.stat.size) == ("the parrot is alive", 1, 19)
    assert '"State"' in hit.meta_json


def test_what_was_deleted_or_renamed_since_is_found_as_it_was(ana):
    ana.write("/memory/gone.md", "the parrot")
    ana.write("/memory/old/name.md", "a parrot")
    then = moment()
    ana.delete("/memory/gone.md")
    ana.rename("/memory/old", "/memory/new")
    ana.rename("/memory/new/name.md", "/memory/new/other.md")
    assert sorted(found(ana, "parrot", then)) == ["/memory/gone.md", "/memory/old/name.md"]
    assert found(ana, "parrot", then, under="/memory/old") == ["/memory/old/name.md"]
    assert found(ana, "parrot", then, under="/memory/new") == []
    assert found(ana, "name", then) == ["/memory/old/name.md"]


def test_before_there_was_anything_there_is_nothing(ana):
    then = moment()
    ana.write(NOTE, "parrot")
    assert found(ana, "parrot", then) == []
    assert found(ana, "parrot", 0) == []


def test_a_store_that_is_not_there_yet_has_no_past(kernel, ana):
    assert found(ana, "parrot", moment()) == []
    assert not kernel.has_store


# --- who may see it ------------------------------------------------------------------------------


def private_then_shared(ana: Session, bob: Session) -> int:
    ana.write("/memory/private/ana/n.md", "the parrot draft")
    then = moment()
    ana.write("/memory/private/ana/n.md", "the parrot published")
    ana.share("/memory/private/ana/n.md", "bob")
    return then


def private_then_moved_out(ana: Session, bob: Session) -> int:
    ana.write("/memory/private/ana/n.md", "the parrot draft")
    then = moment()
    ana.write("/memory/private/ana/n.md", "published")
    ana.rename("/memory/private/ana/n.md", NOTE)
    return then


def restricted_then_opened(ana: Session, bob: Session) -> int:
    ana.write(NOTE, "the parrot draft")
    ana.set_mode(NOTE, 0o600)
    then = moment()
    ana.write(NOTE, "published")
    ana.set_mode(NOTE, 0o644)
    return then


def shared_then_unshared(ana: Session, bob: Session) -> int:
    ana.write("/memory/private/ana/n.md", "the parrot")
    ana.share("/memory/private/ana/n.md", "bob")
    then = moment()
    ana.share("/memory/private/ana/n.md", "bob", None)
    return then


def moved_into_a_private_space(ana: Session, bob: Session) -> int:
    ana.write(NOTE, "the parrot")
    then = moment()
    ana.rename(NOTE, "/memory/private/ana/n.md")
    return then


def deleted_by_its_owner(ana: Session, bob: Session) -> int:
    ana.write(NOTE, "the parrot")
    then = moment()
    ana.delete(NOTE)
    return then


def in_a_directory_that_was_closed(ana: Session, bob: Session) -> int:
    ana.write("/memory/d/n.md", "the parrot")
    then = moment()
    ana.set_mode("/memory/d", 0o700)
    return then


def in_a_directory_that_was_opened(ana: Session, bob: Session) -> int:
    ana.mkdir("/memory/d")
    ana.set_mode("/memory/d", 0o700)
    ana.write("/memory/d/n.md", "the parrot draft")
    then = moment()
    ana.write("/memory/d/n.md", "published")
    ana.set_mode("/memory/d", 0o755)
    return then


HIDDEN = [
    private_then_shared, private_then_moved_out, restricted_then_opened, shared_then_unshared,
    moved_into_a_private_space, deleted_by_its_owner, in_a_directory_that_was_closed, in_a_directory_that_was_opened,
]  # fmt: skip


@pytest.mark.parametrize("history", HIDDEN)
def test_what_looking_back_hides_is_not_found(ana, bob, history):
    bob.write("/memory/bobs.md", "one parrot")
    then = history(ana, bob)
    assert len(found(ana, "parrot", then)) == 2
    assert found(bob, "parrot draft", then) == ["/memory/bobs.md"]
    before = [(hit.path, hit.score) for hit in bob.search("parrot", as_of=then)]
    with Kernel(db=Path(bob.kernel.location).parent / "other.db") as other:
        alone = other.session("bob")
        alone.write("/memory/bobs.md", "one parrot")
        assert [(hit.path, hit.score) for hit in alone.search("parrot", as_of=moment())] == before


def test_what_is_forgotten_is_not_found_by_anybody(ana):
    ana.write(NOTE, "the parrot")
    then = moment()
    ana.forget_for_good(NOTE)
    assert found(ana, "parrot", then) == []


def test_what_retention_has_dropped_is_not_found(tmp_path):
    with Kernel(
        Config(history=HistorySettings(days=0, versions=0, trash_days=0)), tmp_path / "avm.db"
    ) as kernel:
        ana = kernel.session("ana")
        ana.write(NOTE, "the parrot is alive")
        ana.write("/memory/gone.md", "the parrot")
        ana.write("/memory/stays.md", "the parrot")
        then = moment()
        ana.write(NOTE, "it is dead")
        ana.delete("/memory/gone.md")
        assert len(found(ana, "parrot", then)) == 3
        _purge(kernel)
        assert found(ana, "parrot", then) == ["/memory/stays.md"]
        assert found(ana, "note", then) == []


def _purge(kernel: Kernel) -> None:
    from vfs_core.identity import origin_of
    from vfs_core.past import Retention

    me = origin_of(Principal("ana", "ana"))
    while kernel.store.purge(me, Retention(0, 0, 0)).after is not None:
        pass


def test_who_may_not_search_may_not_search_the_past(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "users:\n  ana: {capabilities: [read, write, search_all]}\n  own: {capabilities: [read, write, search_own]}\n"
        "  none: {capabilities: [read, write]}\n"
        "permissions:\n  - {pattern: /memory/secret/*, access: none}\n  - {pattern: '/*', access: rw}\n"
    )
    with Kernel(tmp_path / "config.yaml", tmp_path / "avm.db") as kernel:
        ana, own, no = (kernel.session(name) for name in ("ana", "own", "none"))
        ana.write(NOTE, "parrot")
        own.write("/private/mine.md", "parrot")
        then = moment()
        assert found(ana, "parrot", then) == [NOTE]
        assert found(own, "parrot", then) == ["/memory/private/own/mine.md"]
        with pytest.raises(Denied):
            found(no, "parrot", then)
    with Kernel(Config(), tmp_path / "avm.db") as kernel:
        kernel.session("ana").write("/memory/secret/s.md", "parrot")
    with Kernel(tmp_path / "config.yaml", tmp_path / "avm.db") as kernel:
        assert found(kernel.session("ana"), "parrot", moment()) == [NOTE]


def test_a_key_searches_the_past_where_it_opens_the_present(kernel, ana):
    ana.write("/memory/a/n.md", "parrot")
    ana.write("/memory/b/n.md", "parrot")
    then = moment()
    scope = KeyScope(("/memory/a/*",), frozenset({"read", "search", "list", "stat"}))
    keyed = kernel.open_session(Principal("ana", "ana", key=scope))
    assert set(found(keyed, "parrot", then)) <= {"/memory/a/n.md"}
    scope = KeyScope(("/memory/*",), frozenset({"read", "stat"}))
    assert found(kernel.open_session(Principal("ana", "ana", key=scope)), "parrot", then) == []


WORDS = ("alpha", "beta", "gamma")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("write", "delete", "share", "unshare", "hide", "open", "in", "out", "rename")),
        st.sampled_from(("ana", "bob")),
        st.integers(0, 2),
        st.sampled_from(WORDS),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_it_finds_what_a_walk_through_the_past_finds(tmp_path_factory, steps):
    with Kernel(db=tmp_path_factory.mktemp("past") / "avm.db") as kernel:
        sessions = {name: kernel.session(name) for name in ("ana", "bob")}
        moments = []
        for what, who, number, word in steps:
            _step(sessions[who], what, who, number, word)
            moments.append(moment())
        for session in sessions.values():
            for then in moments[:: max(1, len(moments) // 4)]:
                seen = dict(_walk(session, "/", then))
                for word in WORDS:
                    expected = {path for path, text in seen.items() if word in text}
                    assert set(found(session, word, then)) == expected


def _step(session: Session, what: str, who: str, number: int, word: str) -> None:
    shared, own = f"/memory/d/n{number}.md", f"/memory/private/{who}/n{number}.md"
    other = "bob" if who == "ana" else "ana"
    actions = {
        "write": lambda: session.write(shared if number else own, word),
        "delete": lambda: session.delete(shared if number else own),
        "share": lambda: session.share(own, other),
        "unshare": lambda: session.share(own, other, None),
        "hide": lambda: session.set_mode(shared if number else "/memory/d", 0o700),
        "open": lambda: session.set_mode(shared if number else "/memory/d", 0o777),
        "in": lambda: session.rename(shared, own),
        "out": lambda: session.rename(own, shared),
        "rename": lambda: (
            session.rename("/memory/d", "/memory/e") if number else session.rename("/memory/e", "/memory/d")
        ),
    }
    with suppress(VfsError):
        actions[what]()


def _walk(session: Session, path: str, then: int) -> Iterator[tuple[str, str]]:
    """Paths and texts of a moment, as listing and reading show them."""
    try:
        entries = list(session.list_as_of(path, then))
    except VfsError:
        return
    for entry in entries:
        if entry.is_directory:
            yield from _walk(session, entry.path, then)
        else:
            yield entry.path, session.as_of(entry.path, time=then).text


# --- through the doors ---------------------------------------------------------------------------


def test_meaning_has_no_past(ana):
    ana.write(NOTE, "parrot")
    with pytest.raises(Invalid, match="by words"):
        ana.search("parrot", mode="semantic", as_of=moment())
    assert len(ana.search("parrot", mode="hybrid", as_of=moment())) == 1


def test_progress_is_told_and_can_interrupt(ana):
    for each in range(5):
        ana.write(f"/memory/n{each}.md", "parrot")
    steps: list[int] = []
    ana.at(moment(), steps.append).search("parrot")
    assert sum(steps) == 5

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ana.at(moment(), stop).search("parrot")
    assert len(ana.search("parrot")) == 5


def test_reading_a_moment(ana):
    ana.write(NOTE, "one")
    ana.write(NOTE, "two")
    then = moment()
    ana.write(NOTE, "three")
    past = ana.at(then)
    assert past.read(NOTE).text == "two"
    assert past.read_range(NOTE, 1, 1) == b"w"
    assert [each.version for each in past.history(NOTE)] == [2, 1]
    assert [each.version for each in past.history(NOTE, 1)] == [2]
