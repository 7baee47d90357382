"""Consolidating any store loses no text, shows nobody more than before, says all of it in a dry run, and is undone."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avm_builtin.memory.agent import AgentMemory
from avm_builtin.memory.consolidation.actions import Action
from avm_builtin.memory.consolidation.plan import KINDS
from vfs_core.config import Config, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.moments import DAY_NS
from vfs_core.session import Session
from vfs_core.storage import Operation
from vfs_core.types import Kind, Principal

SOAK = os.environ.get("AVM_SOAK") == "1"
AGENTS = ("ann", "bo", "carol")
PLACES = (
    "/memory/private/ann", "/memory/private/ann/d", "/memory/private/ann/lent", "/memory/private/ann/lent/deep",
    "/memory/private/bo/lent", "/memory/shared", "/memory/shared/open", "/memory/shared/open/closed", "/memory/top",
)  # fmt: skip
SCOPES = {
    None: PLACES[:4],
    "/memory/private/ann/lent": PLACES[2:4],
    "/memory/private/bo/lent": PLACES[4:5],
    "/memory/shared": PLACES[5:8],
    "/memory": PLACES,
}
UNIQUE = ""
"""Stands for a text like no other."""
COMMON = (
    "the committee raised rates by a quarter of a point to fight inflation on wednesday",
    "the pump in the cellar failed again and the seal was replaced by the plumber on monday",
    "央行今天宣布加息二十五个基点。市场普遍下跌！分析师预计会继续加息吗？",
    "short.",
    "```\n## Sources\n1. [/memory/x]\n```",
)


class Spec(NamedTuple):
    """A note to be made."""

    place: str
    writer: str
    text: str
    days: int
    importance: float | None
    tags: tuple[str, ...]
    mode: int | None
    share: str | None
    extra: str


def often(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Mostly what is usual, so that there are groups."""
    return st.sampled_from([usual] * 3 * len(others) + list(others))


def notes_in(usual: tuple[list[str], int | None, int]) -> st.SearchStrategy[list[Spec]]:
    places, mode, days = usual
    note = st.builds(
        Spec,
        st.sampled_from(places),
        often("ann", "bo"),
        often(UNIQUE, *COMMON),
        often(days, 0, 10, 31, 100, 200, 400),
        often(None, 0.0, 0.1, 0.73, 0.95),
        often(("a",), (), ("a", "b"), ("b",)),
        often(mode, 0o600, 0o640, 0o644, 0o604),
        often(None, "bo", "carol"),
        often("", "pinned", "ttl", "time", "link", "session"),
    )
    return st.lists(note, min_size=1, max_size=6) | st.lists(note, min_size=16, max_size=40)


def stores_for(scope: str | None) -> st.SearchStrategy[tuple[list[Spec], str | None]]:
    """Notes in one or two of the places that are consolidated, and the scope."""
    usual = st.tuples(
        st.lists(st.sampled_from(SCOPES[scope]), min_size=1, max_size=2),
        st.sampled_from([None, None, 0o600]),
        st.sampled_from([60, 60, 400]),
    )
    return st.tuples(usual.flatmap(notes_in), st.just(scope))


@contextmanager
def store_of(specs: list[Spec]) -> Iterator[dict[str, Session]]:
    with tempfile.TemporaryDirectory() as folder:
        config = Config(storage=StorageSettings(durability="normal"))
        with Kernel(config, f"{folder}/s.db") as kernel:
            sessions = {name: Session(kernel, Principal(name, name)) for name in AGENTS}
            ann, bo = sessions["ann"], sessions["bo"]
            for session, place in ((ann, PLACES[2]), (bo, PLACES[4])):
                session.mkdir(place, parents=True)
            ann.share(PLACES[2], "bo", "r")
            bo.share(PLACES[4], "ann", "rw")
            ann.mkdir(PLACES[7], parents=True)
            ann.set_mode(PLACES[7], 0o700)
            before: list[str] = []
            for number, spec in enumerate(specs):
                writer = sessions[spec.writer]
                if not may_make(writer, spec.place):
                    writer = ann
                path = f"{spec.place}/w{number}w.md"
                owner = sessions["bo"] if spec.place == PLACES[4] else writer
                make(writer, owner, path, number, spec)
                if spec.extra == "link" and before:
                    link(writer, path, before[-1])
                before.append(path)
            yield sessions


def may_make(session: Session, place: str) -> bool:
    try:
        session.write(f"{place}/probe.md", "")
        session.delete(f"{place}/probe.md")
    except Exception:
        return False
    return True


def make(writer: Session, owner: Session, path: str, number: int, spec: Spec) -> None:
    mark = f"w{number}w"
    meta: dict[str, Any] = {"importance": spec.importance, "tags": [*spec.tags, mark], "title": mark}
    if spec.extra == "pinned":
        meta["pinned"] = True
    elif spec.extra == "session":
        meta["session"] = "s1"
    elif spec.extra == "time":
        meta["time"] = "2020-01-01"
    text = spec.text or ". ".join(
        f"Event {number} of kind {kind} in week {number * kind}" for kind in (3, 7, 11)
    )
    writer.write(path, f"{text} w{number}w", meta)
    writer.set_times(path, modified_ns=time.time_ns() - spec.days * DAY_NS)
    if spec.mode is not None:
        owner.set_mode(path, spec.mode)
    if spec.share not in (None, owner.principal.agent):
        owner.share(path, spec.share or "")
    if spec.extra == "ttl":
        owner.set_expiry(path, time.time_ns() + DAY_NS)


def link(session: Session, source: str, target: str) -> None:
    if session.exists(target):
        try:
            session.link(source, target)
        except Exception:
            return


def known_to(session: Session) -> set[str]:
    """The marks of the notes of which an agent can learn anything, by names, metadata or texts."""
    seen: list[str] = []
    for found in session.walk("/", Operation.STAT):
        seen.append(found.path)
        if session.judge.allows(Operation.READ, found) and found.stat and found.stat.kind is Kind.FILE:
            seen += [session.read(found.path).text, found.meta_json]
    words = " ".join(seen).replace("/", " ").replace(".", " ").replace("]", " ").replace('"', " ").split()
    return {word for word in words if word[0] == word[-1] == "w" and word[1:-1].isdigit()}


def texts_of(session: Session) -> list[str]:
    """What the agent's own notes say."""
    me = session.principal.agent
    return sorted(
        session.read(found.path).text
        for found in session.walk("/", Operation.READ)
        if found.stat and found.stat.kind is Kind.FILE and found.stat.owner == me
    )


def tree(session: Session) -> Mapping[str, object]:
    """Everything in the store, unjudged."""
    store, made = session.store, {}
    for found in store.scan(0, 10_000, content=True):
        stat = found.stat
        assert stat is not None
        about: tuple[object, ...] = (stat.kind, found.own, found.within)
        if stat.kind is Kind.FILE:
            about += (
                store.read(found.path).data, json.loads(found.meta_json), stat.modified_ns, stat.version,
                stat.expires_ns, sorted(store.links(stat.id)),
            )  # fmt: skip
        made[found.path] = about
    return made


def said(action: Action) -> tuple[str, str, str, str]:
    return action.verb, action.path, action.target or "", action.reason


def modified(session: Session) -> dict[int, int]:
    return {
        found.stat.id: found.stat.modified_ns
        for found in session.store.scan(0, 10_000)
        if found.stat is not None and found.stat.kind is Kind.FILE
    }


@settings(max_examples=500 if SOAK else 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(list(SCOPES)).flatmap(stores_for),
    st.sampled_from([KINDS, KINDS, KINDS, ("merge",), ("summarise",), ("decay",)]),
)
def test_any_store_is_consolidated_without_loss_or_leak_and_back(
    store: tuple[list[Spec], str | None], only: tuple[Any, ...]
) -> None:
    specs, scope = store
    with store_of(specs) as sessions:
        ann = sessions["ann"]
        before = tree(ann), modified(ann)
        known = {name: known_to(session) for name, session in sessions.items()}
        owned = {name: texts_of(session) for name, session in sessions.items()}
        memory = AgentMemory(ann)
        if scope is not None and not ann.exists(scope):
            return

        head = ann.store.head()
        planned = memory.consolidate(scope, only=only, dry_run=True)
        assert ann.store.head() == head

        report = memory.consolidate(scope, only=only)
        tried = [*report.done, *(action for action, _ in report.skipped)]
        assert sorted(map(said, planned.done)) == sorted(map(said, tried))
        for name, session in sessions.items():
            assert known_to(session) <= known[name], name
            left = texts_of(session)
            for text in owned[name]:
                assert text in left
                left.remove(text)
        now = modified(ann)
        assert {node: now.get(node) for node in before[1]} == before[1]

        if not report.skipped:
            again = memory.consolidate(scope, only=only)
            assert (again.done, again.run) == ((), "")

        if report.run and report.done:
            taken_back = ann.undo(run=report.run)
            assert taken_back.skipped == []
        assert tree(ann) == before[0]
        assert not [each for each in ann.store.verify() if each.level == "fail"]
