"""A stranger learns nothing of private notes, alters none of them, and nobody but the owner opens them.

Most tests ask the same question of a name that is hidden and of one that is missing: the answers must be the
same class and the same words. The bodies and names of hidden notes contain a word that must turn up nowhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avm_builtin.memory import context as contexts
from avm_builtin.memory import graph as graphs
from vfs_core.config import Config, PermissionRule, ProviderRule, StorageSettings
from vfs_core.errors import Denied, NotFound, NotOwner, VfsError
from vfs_core.handler import BaseHandler, Context
from vfs_core.kernel import Kernel
from vfs_core.path import split
from vfs_core.plugins import register_handler
from vfs_core.session import Session
from vfs_core.storage import Operation
from vfs_core.types import KeyScope, Principal, User

NORMAL = StorageSettings(durability="normal")
SEED = Config(
    permissions=(PermissionRule("/memory/*", "rw"), PermissionRule("/live/*", "ro")),
    default_access="ro",
    storage=NORMAL,
)
"""The permissions of the seed's config.yaml."""
NONE = Config(storage=NORMAL)

HIDDEN, MISSING = "hidden", "absent"
"""Names of the same length, so that answers differ in nothing else."""


@pytest.fixture(params=[NONE, SEED], ids=["no configuration", "the seed's"])
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(request.param, tmp_path / "store.db") as opened:
        yield opened


def agent(kernel: Kernel, name: str, **how: Any) -> Session:
    return Session(kernel, Principal(name, name, **how))


@pytest.fixture
def alice(kernel: Kernel) -> Session:
    """Whose notes are private."""
    return agent(kernel, "alice")


@pytest.fixture
def bob(kernel: Kernel) -> Session:
    """The stranger, with notes of his own."""
    session = agent(kernel, "bob")
    session.write("/memory/bobs.md", "a note of bob's")
    session.write("/private/own.md", "a private note of bob's")
    return session


def answer(act: Callable[[], object]) -> str:
    """What a call gave: its value, or the class and the words of its error."""
    try:
        return f"gave {act()!r}"
    except VfsError as error:
        return f"{type(error).__name__}: {error}"


def mention(session: Session, path: str) -> object:
    """What can be seen of a note's links, and of the journal, once it mentions a path, and what has its name."""
    session.write("/memory/bobs.md", f"[x]({path}) [[{path}]] [[{split(path)[1]}]]")
    links = [(link.kind, link.target) for link in session.links("/memory/bobs.md")]
    return links, [row.operation for row in session.audit("/memory/bobs.md", limit=1)]


# --- hidden is told as missing -------------------------------------------------------------------

BY_NAME: dict[str, Callable[[Session, str], object]] = {
    "read": lambda s, p: s.read(p),
    "stat": lambda s, p: s.stat(p),
    "exists": lambda s, p: s.exists(p),
    "list": lambda s, p: s.list(p),
    "list, limited": lambda s, p: s.list(p, limit=1),
    "walk": lambda s, p: list(s.walk(p)),
    "export": lambda s, p: list(s.walk(p, Operation.EXPORT)),
    "write": lambda s, p: s.write(p, "x"),
    "write, based on a version": lambda s, p: s.write(p, "x", base_version=1),
    "write, based on none": lambda s, p: s.write(p, "x", base_version=0),
    "write with metadata": lambda s, p: s.write(p, "x", {"tags": ["t"]}),
    "write many": lambda s, p: s.write_many([("/memory/first.md", "x"), (p, "x")]),
    "append": lambda s, p: s.append(p, "x"),
    "update_meta": lambda s, p: s.update_meta(p, {"title": "x"}),
    "update_meta of nothing": lambda s, p: s.update_meta(p, {}),
    "mkdir": lambda s, p: s.mkdir(p),
    "mkdir, if need be": lambda s, p: s.mkdir(p, parents=True, exist_ok=True),
    "delete": lambda s, p: s.delete(p),
    "delete, all below": lambda s, p: s.delete(p, recursive=True),
    "rename": lambda s, p: s.rename(p, "/memory/mine.md"),
    "rename onto itself": lambda s, p: s.rename(p, p),
    "rename onto it": lambda s, p: s.rename("/memory/bobs.md", p),
    "replace it": lambda s, p: s.rename("/memory/bobs.md", p, replace=True),
    "rename a directory onto it": lambda s, p: s.rename("/memory/dir", p),
    "rename from missing onto it": lambda s, p: s.rename("/memory/nothing.md", p),
    "rename a prefix": lambda s, p: s.rename_prefix(p, "/memory/mine-"),
    "rename a prefix onto it": lambda s, p: s.rename_prefix("/memory/bobs", p.removesuffix(".md")),
    "share": lambda s, p: s.share(p, "bob"),
    "unshare": lambda s, p: s.share(p, "bob", None),
    "set_shares": lambda s, p: s.set_shares(p, {"bob": "r"}),
    "set_shares to none": lambda s, p: s.set_shares(p, {}),
    "shares": lambda s, p: s.shares(p),
    "set_mode": lambda s, p: s.set_mode(p, 0o666),
    "set_owner": lambda s, p: s.set_owner(p, group="bob"),
    "take over": lambda s, p: s.set_owner(p, owner="bob"),
    "link from it": lambda s, p: s.link(p, "/memory/bobs.md"),
    "link from it to nothing": lambda s, p: s.link(p, "/memory/nothing.md"),
    "link to it": lambda s, p: s.link("/memory/bobs.md", p),
    "link to it from what one may not write": lambda s, p: s.link("/memory/readable.md", p),
    "link to it from nothing": lambda s, p: s.link("/memory/nothing.md", p),
    "link with a bad kind": lambda s, p: s.link("/memory/bobs.md", p, "No Kind"),
    "unlink from it": lambda s, p: s.unlink(p, "/memory/bobs.md"),
    "unlink from it to nothing": lambda s, p: s.unlink(p, "/memory/nothing.md"),
    "unlink": lambda s, p: s.unlink("/memory/bobs.md", p),
    "unlink a kind": lambda s, p: s.unlink("/memory/bobs.md", p, "citation"),
    "unlink from what one may not write": lambda s, p: s.unlink("/memory/readable.md", p),
    "links": lambda s, p: s.links(p),
    "mention it": lambda s, p: mention(s, p),
    "search under it in the past": lambda s, p: s.search("xyzzy", under=p, as_of=time.time_ns()),
    "graph around it": lambda s, p: graphs.graph(s, p),
    "access": lambda s, p: s.access(p),
    "access below": lambda s, p: s.access(f"{p}/x"),
    "search under it": lambda s, p: s.search("xyzzy", under=p),
    "read below": lambda s, p: s.read(f"{p}/x"),
    "write below": lambda s, p: s.write(f"{p}/x", "x"),
    "mkdir below": lambda s, p: s.mkdir(f"{p}/x/y", parents=True),
    "list below": lambda s, p: s.list(f"{p}/x"),
    "delete below": lambda s, p: s.delete(f"{p}/x"),
    "rename below": lambda s, p: s.rename(f"{p}/x", "/memory/x"),
    "rename to below": lambda s, p: s.rename("/memory/bobs.md", f"{p}/x"),
    "a prefix below": lambda s, p: s.rename_prefix(f"{p}/x", "/memory/x"),
    "read :data": lambda s, p: s.read(f"{p}:data"),
    "read :meta": lambda s, p: s.read(f"{p}:meta"),
    "read :tags": lambda s, p: s.read(f"{p}:tags"),
    "read :links": lambda s, p: s.read(f"{p}:links"),
    "read :shared": lambda s, p: s.read(f"{p}:shared"),
    "read :path": lambda s, p: s.read(f"{p}:path"),
    "read :info": lambda s, p: s.read(f"{p}:info"),
    "stat :meta": lambda s, p: s.stat(f"{p}:meta"),
    "write :data": lambda s, p: s.write(f"{p}:data", "x"),
    "write :meta": lambda s, p: s.write(f"{p}:meta", "{}"),
    "write :tags": lambda s, p: s.write(f"{p}:tags", "t"),
    "write :shared": lambda s, p: s.write(f"{p}:shared", "bob"),
    "write :links": lambda s, p: s.write(f"{p}:links", "/memory/bobs.md"),
    "write :links to it": lambda s, p: s.write("/memory/bobs.md:links", f"related {p}"),
}

PLACES = {
    "a private note": "/memory/private/alice/{}.md",
    "a note in a private directory": "/memory/private/alice/deep/{}.md",
    "a private directory": "/memory/private/alice/{}.d",
    "a note in a locked directory": "/memory/locked/{}.md",
    "a private note in a shared directory that only its owner may write": "/memory/closed/{}.md",
    "a private note in a place that a rule makes read-only": "/archive/{}.md",
}


@pytest.fixture
def world(kernel: Kernel, alice: Session, bob: Session) -> None:
    """Hidden things in each of PLACES, made where no configuration is in the way."""
    with Kernel(NONE, kernel.location) as open_kernel:
        maker = agent(open_kernel, "alice")
        for place in PLACES.values():
            path = place.format(HIDDEN)
            if path.endswith(".d"):
                maker.mkdir(path)
            else:
                maker.write(path, "xyzzy", {"tags": ["xyzzy"]})
                maker.set_mode(path, 0o600)
        maker.mkdir("/memory/locked", exist_ok=True)
        maker.set_mode("/memory/locked", 0o700)
        maker.set_mode("/memory/closed", 0o755)
        maker.write("/memory/readable.md", "for all to read")
        maker.set_mode("/memory/readable.md", 0o644)
        agent(open_kernel, "bob").mkdir("/memory/dir")


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("action", BY_NAME)
def test_hidden_and_missing_names_are_told_alike(kernel: Kernel, bob: Session, action: str) -> None:
    wrong = []
    for place, pattern in PLACES.items():
        if place.endswith("read-only") and kernel.config.default_access is None:
            continue  # there, without the rule, a free name can be made, and one that is taken cannot
        before = answer(lambda: BY_NAME[action](bob, pattern.format(MISSING)))  # noqa: B023
        told = answer(lambda: BY_NAME[action](bob, pattern.format(HIDDEN)))  # noqa: B023
        if told.replace(HIDDEN, MISSING) != before or "xyzzy" in told:
            wrong.append(f"{place}\n  missing: {before}\n  hidden:  {told}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("action", BY_NAME)
def test_private_spaces_that_exist_and_that_do_not_are_told_alike(bob: Session, action: str) -> None:
    exists = answer(lambda: BY_NAME[action](bob, "/memory/private/alice"))
    not_there = answer(lambda: BY_NAME[action](bob, "/memory/private/zelda"))
    assert exists == not_there.replace("zelda", "alice")


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("looks", ["at first sight", "again"])
@pytest.mark.parametrize("large", [False, True], ids=["a small note", "a large note"])
@pytest.mark.parametrize("action", ["read", "stat", "exists", "list", "walk"])
def test_the_same_statements_run_for_hidden_and_missing_names(
    alice: Session, bob: Session, action: str, large: bool, looks: str
) -> None:
    if large:
        alice.write("/private/hidden.md", "xyzzy " * 50_000)
    hidden, missing = "/memory/private/alice/hidden.md", "/memory/private/alice/absent.md"
    with Kernel(bob.kernel.config, bob.kernel.location) as fresh:  # as another process would come to it
        stranger = agent(fresh, "bob")
        stranger.read("/memory/bobs.md")
        statements = traced(stranger, lambda path: answer(lambda: BY_NAME[action](stranger, path)))
        statements(missing)
        if looks == "again":
            statements(hidden)
        assert statements(hidden) == statements(missing)


def traced(session: Session, act: Callable[[str], object]) -> Callable[[str], list[str]]:
    """A call that returns the SQL that `act` ran, by whatever connection of the store."""
    database: Any = session.store._database  # type: ignore[attr-defined]

    def run(path: str) -> list[str]:
        seen: list[str] = []

        def note(_cursor: object, sql: str, _bindings: object) -> bool:
            seen.append(" ".join(sql.split()))
            return True

        with database.mutex:
            connections = [database.writer(), *(cursor.connection for cursor in database._readers)]
        for connection in connections:
            connection.exec_trace = note
        try:
            act(path)
        finally:
            for connection in connections:
                connection.exec_trace = None
        assert set(connections[1:]) >= {cursor.connection for cursor in database._readers}, (
            "a connection was opened: nothing was traced on it"
        )
        return seen

    return run


# --- errors do not name what is hidden -----------------------------------------------------------

SHARED_WAYS: dict[str, Callable[[Session], object]] = {
    "delete a tree": lambda s: s.delete("/memory/pool", recursive=True),
    "delete a directory": lambda s: s.delete("/memory/pool"),
    "move a directory to where more may read": lambda s: s.rename("/memory/pool", "/memory/lent/pool"),
    "move by prefix": lambda s: s.rename_prefix("/memory/pool/", "/memory/x"),
    "move by prefix, all in it": lambda s: s.rename_prefix("/memory/pool/x", "/memory/x"),
    "replace a directory": lambda s: s.rename("/memory/lent", "/memory/pool", replace=True),
    "list": lambda s: s.list("/memory/pool"),
    "walk": lambda s: [found.path for found in s.walk("/")],
    "access": lambda s: s.access("/memory/pool"),
    "tag_counts": lambda s: s.tag_counts(),
}


@pytest.mark.parametrize("way", SHARED_WAYS)
def test_a_hidden_note_in_a_shared_directory_is_named_to_nobody(
    alice: Session, bob: Session, way: str
) -> None:
    bob.mkdir("/memory/pool")
    bob.mkdir("/memory/lent")
    bob.share("/memory/lent", "carol")
    alice.write("/memory/pool/xyzzy.md", "x", {"tags": ["xyzzy"]})
    alice.set_mode("/memory/pool/xyzzy.md", 0o600)
    told = answer(lambda: SHARED_WAYS[way](bob))
    assert "xyzzy" not in told
    assert alice.read("/memory/pool/xyzzy.md").text == "x"


@pytest.mark.parametrize("guess", ["h", "hid", "hidden", "hidden.md", "x", "d"])
def test_moving_by_prefix_finds_no_names_in_anothers_space(alice: Session, bob: Session, guess: str) -> None:
    """One letter at a time, this would spell out every name."""
    alice.write("/private/hidden.md", "x")
    alice.write("/private/deep/hidden.md", "x")
    prefix = f"/memory/private/alice/{guess}"
    told = answer(lambda: bob.rename_prefix(prefix, "/memory/mine"))
    assert told == answer(
        lambda: bob.rename_prefix(f"/memory/private/zelda/{guess}", "/memory/mine")
    ).replace("zelda", "alice")


# --- what is found and counted -------------------------------------------------------------------


def findings(session: Session) -> dict[str, object]:
    """All that a session can find, in numbers and paths."""
    stats = session.stats()
    return {
        "walk": [found.path for found in session.walk("/")],
        "export": [found.path for found in session.walk("/", Operation.EXPORT)],
        "root": [entry.path for entry in session.list("/")],
        "memory": [entry.path for entry in session.list("/memory")],
        "private": [entry.path for entry in session.list("/memory/private")],
        "shared": [entry.path for entry in session.list("/memory/shared")],
        "tags": session.tag_counts(),
        "stats": (stats.notes, stats.size, stats.private, stats.tags),
        "links": session.links("/memory/bobs.md"),
        "all hits": [hit.path for hit in session.search("quagga", limit=100)],
        "first hits": [hit.path for hit in session.search("quagga", limit=3)],
        "by tag": {hit.path for hit in session.search("quagga", tags=["herd"])},
        "under": {hit.path for hit in session.search("quagga", under="/memory/private")},
        "snippets": [hit.snippet for hit in session.search("quagga")],
        "hits of the past": {hit.path for hit in session.search("quagga", limit=100, as_of=time.time_ns())},
        "graph": graphs.graph(session),
        "context": {frame.path for frame in contexts.context(session, 8000).frames},
        "any of three words": {hit.path for hit in session.search("quagga okapi bob", limit=100)},
        "nothing": session.search("xyzzy"),
    }


def test_others_thousand_private_notes_change_nothing_that_one_finds(alice: Session, bob: Session) -> None:
    for number in range(8):
        bob.write(f"/memory/herd-{number}.md", f"quagga okapi {number}", {"tags": ["herd"]})
    bob.write("/private/quagga.md", "quagga and okapi", {"tags": ["herd", "own"]})
    before = findings(bob)
    assert len(before["all hits"]) == 9  # type: ignore[arg-type]
    for start in range(0, 1000, 250):
        alice.write_many(
            [(f"/private/n/{i:04}.md", "quagga quagga okapi xyzzy") for i in range(start, start + 250)]
        )
    for i in range(0, 1000, 100):
        alice.update_meta(f"/private/n/{i:04}.md", {"tags": ["herd", "xyzzy"]})
        alice.link(f"/private/n/{i:04}.md", "/memory/bobs.md")
    assert len(alice.search("xyzzy", limit=2000)) == 1000
    assert findings(bob) == before


def test_explaining_a_shared_directory_says_nothing_of_what_is_hidden_in_it(
    alice: Session, bob: Session
) -> None:
    before = bob.access("/memory/private")
    alice.write("/private/xyzzy.md", "xyzzy")
    alice.share("/private/xyzzy.md", "carol")
    after = bob.access("/memory/private")
    assert "xyzzy" not in repr(after)
    assert {each.agent: each.allowed for each in before.agents}.items() <= {
        each.agent: each.allowed for each in after.agents
    }.items()


def test_a_grantee_of_one_note_does_not_see_whom_the_directories_above_are_shared_with(
    alice: Session, bob: Session
) -> None:
    alice.write("/private/deep/lent.md", "for bob")
    alice.share("/private/deep", "carol")
    alice.share("/private/deep/lent.md", "bob")
    assert [entry.name for entry in bob.list("/memory/private/alice/deep")] == ["lent.md"]
    with pytest.raises(Denied):
        bob.shares("/memory/private/alice/deep")
    assert "carol" not in answer(lambda: bob.access("/memory/private/alice/deep").shares)


def test_a_directory_that_may_be_entered_but_not_listed_is_not_listed_by_walking(
    alice: Session, bob: Session
) -> None:
    alice.write("/memory/drop/unguessable.md", "readable by who knows the name")
    alice.set_mode("/memory/drop", 0o711)
    with pytest.raises(Denied):
        bob.list("/memory/drop")
    assert bob.read("/memory/drop/unguessable.md").text.startswith("readable")
    assert "unguessable" not in repr([found.path for found in bob.walk("/memory")])


def test_who_may_write_but_not_read_learns_no_metadata_by_writing(alice: Session, bob: Session) -> None:
    alice.write("/memory/box.md", "x", {"title": "xyzzy", "tags": ["xyzzy"]})
    alice.set_mode("/memory/box.md", 0o602)
    with pytest.raises(Denied):
        bob.read("/memory/box.md")
    assert "xyzzy" not in answer(lambda: bob.update_meta("/memory/box.md", {"source": "bob"}))


# --- only the owner opens ------------------------------------------------------------------------


def test_no_configuration_opens_a_private_space(alice: Session, bob: Session) -> None:
    alice.write("/private/xyzzy.md", "xyzzy")
    for rules in (
        [("/memory/*", "rw")],
        [("/memory/private/*", "rw")],
        [("/memory/private/alice/*", "rw"), ("/*", "rw")],
    ):
        config = Config(
            permissions=tuple(PermissionRule(pattern, access) for pattern, access in rules),  # type: ignore[arg-type]
            default_access="rw",
            storage=NORMAL,
        )
        with Kernel(config, alice.kernel.location) as kernel:
            for session in (agent(kernel, "bob"), kernel.session()):
                with pytest.raises(NotFound):
                    session.read("/memory/private/alice/xyzzy.md")
                assert session.list("/memory/private") == (
                    [] if session.principal.agent != "bob" else session.list("/memory/private")[:1]
                )
                assert session.search("xyzzy") == []


def test_the_owner_of_the_store_does_not_see_private_notes_by_itself(kernel: Kernel, alice: Session) -> None:
    alice.write("/private/xyzzy.md", "xyzzy")
    founder = kernel.session()
    assert founder.search("xyzzy") == []
    with pytest.raises(NotFound):
        founder.read("/memory/private/alice/xyzzy.md")
    assert founder.elevated(60).read("/memory/private/alice/xyzzy.md").text == "xyzzy"


@pytest.mark.parametrize("above", ["/memory/private", "/memory", "/"])
@pytest.mark.parametrize("to", ["bob", "the founder itself"])
def test_sharing_what_lies_above_opens_no_private_space(
    kernel: Kernel, alice: Session, bob: Session, above: str, to: str
) -> None:
    """The founder owns the fixed directories. That does not make it the owner of what agents put below them."""
    alice.write("/private/xyzzy.md", "xyzzy")
    founder = kernel.session()
    grantee = bob if to == "bob" else founder
    answer(lambda: founder.share(above, grantee.principal.agent, "rw"))
    assert "gave" not in answer(lambda: grantee.read("/memory/private/alice/xyzzy.md"))
    assert "gave" not in answer(lambda: grantee.write("/memory/private/alice/xyzzy.md", "mine now"))
    assert grantee.search("xyzzy") == []
    assert alice.read("/private/xyzzy.md").text == "xyzzy"


@pytest.mark.parametrize("to", ["bob", "carol"])
def test_sharing_a_directory_does_not_open_the_notes_that_others_keep_in_it(
    kernel: Kernel, alice: Session, bob: Session, to: str
) -> None:
    """Only the owner of a note may widen who reads it; owning the directory that it lies in is not owning it."""
    bob.mkdir("/memory/pool")
    alice.write("/memory/pool/xyzzy.md", "xyzzy")
    alice.set_mode("/memory/pool/xyzzy.md", 0o600)
    answer(lambda: bob.share("/memory/pool", to, "rw"))
    grantee = bob if to == "bob" else agent(kernel, to)
    assert "gave" not in answer(lambda: grantee.read("/memory/pool/xyzzy.md"))
    assert grantee.search("xyzzy") == []


def test_taking_a_note_and_sharing_the_directory_around_it_opens_it_to_nobody(
    kernel: Kernel, alice: Session, bob: Session
) -> None:
    """Whoever may remove a note from a shared directory may move it, and must gain nothing for others by that."""
    with kernel.session().transaction() as tx:
        for name in ("alice", "bob"):
            tx.put_user(User(name, ("crew",)))
    alice.write("/memory/crew.md", "xyzzy")
    alice.set_owner("/memory/crew.md", group="crew")
    alice.set_mode("/memory/crew.md", 0o640)
    carol = agent(kernel, "carol")
    assert bob.read("/memory/crew.md").text == "xyzzy"
    assert carol.search("xyzzy") == []
    answer(lambda: bob.mkdir("/memory/bobs"))
    answer(lambda: bob.rename("/memory/crew.md", "/memory/bobs/crew.md"))
    answer(lambda: bob.share("/memory/bobs", "carol"))
    assert "gave" not in answer(lambda: carol.read("/memory/bobs/crew.md"))
    assert carol.search("xyzzy") == []


WIDENINGS: dict[str, Callable[[Session], object]] = {
    "move to all": lambda s: s.rename("/memory/private/alice/project/plan.md", "/memory/plan.md"),
    "move to oneself": lambda s: s.rename("/memory/private/alice/project/plan.md", "/private/plan.md"),
    "move to others": lambda s: s.rename("/memory/private/alice/project/plan.md", "/memory/lent/plan.md"),
    "move the part": lambda s: s.rename("/memory/private/alice/project/part", "/memory/part"),
    "move the directory": lambda s: s.rename("/memory/private/alice/project", "/memory/project"),
    "move by prefix": lambda s: s.rename_prefix("/memory/private/alice/project/pl", "/memory/pl"),
    "share": lambda s: s.share("/memory/private/alice/project/plan.md", "carol"),
    "share the part": lambda s: s.share("/memory/private/alice/project/part", "carol"),
    "share the directory": lambda s: s.share("/memory/private/alice/project", "carol"),
    "write :shared": lambda s: s.write("/memory/private/alice/project/plan.md:shared", "carol"),
    "take one's own share away": lambda s: s.share("/memory/private/alice/project", "bob", None),
    "mode": lambda s: s.set_mode("/memory/private/alice/project/plan.md", 0o666),
    "mode of the directory": lambda s: s.set_mode("/memory/private/alice/project", 0o777),
    "owner": lambda s: s.set_owner("/memory/private/alice/project/plan.md", owner="bob"),
    "group": lambda s: s.set_owner("/memory/private/alice/project/plan.md", group="bob"),
}


@pytest.mark.parametrize("way", WIDENINGS)
def test_who_may_write_a_private_note_cannot_open_it_to_others(
    kernel: Kernel, alice: Session, bob: Session, way: str
) -> None:
    alice.write("/private/project/plan.md", "xyzzy")
    alice.write("/private/project/part/more.md", "xyzzy")
    alice.share("/private/project", "bob", "rw")
    bob.mkdir("/memory/lent")
    bob.share("/memory/lent", "carol")
    with pytest.raises((Denied, NotFound)):
        WIDENINGS[way](bob)
    carol = agent(kernel, "carol")
    assert carol.search("xyzzy") == []
    assert {hit.path for hit in bob.search("xyzzy")} == {
        "/memory/private/alice/project/plan.md",
        "/memory/private/alice/project/part/more.md",
    }


def test_moving_to_where_more_may_read_needs_every_owner_concerned(
    kernel: Kernel, alice: Session, bob: Session
) -> None:
    bob.mkdir("/memory/shut")
    bob.share("/memory/shut", "alice", "rw")
    alice.write("/memory/shut/alices.md", "xyzzy")
    bob.set_mode("/memory/shut", 0o700)
    bob.mkdir("/memory/lent")
    bob.share("/memory/lent", "carol")
    with pytest.raises(NotOwner):
        bob.rename("/memory/shut", "/memory/lent/shut")
    assert agent(kernel, "carol").search("xyzzy") == []
    alice.rename("/memory/shut/alices.md", "/memory/alices.md")
    bob.rename("/memory/shut", "/memory/lent/shut")


@pytest.mark.parametrize("hides", [False, True], ids=["alone", "beside a hidden one"])
def test_what_lies_in_a_locked_directory_is_not_opened_by_moving_it_out(
    kernel: Kernel, alice: Session, bob: Session, hides: bool
) -> None:
    """Not even by the owner of the directories, and not where another note hides how many there are."""
    bob.mkdir("/memory/shut/inner", parents=True)
    if hides:
        alice.write("/memory/shut/inner/a.md", "xyzzy")
        alice.set_mode("/memory/shut/inner/a.md", 0o600)
    alice.write("/memory/shut/inner/b.md", "xyzzy")
    bob.set_mode("/memory/shut", 0o700)
    for move in (
        lambda: bob.rename("/memory/shut/inner/b.md", "/memory/b.md"),
        lambda: bob.rename("/memory/shut/inner", "/memory/inner"),
    ):
        with pytest.raises(NotOwner):
            move()
    assert agent(kernel, "carol").search("xyzzy") == []


def test_moving_a_directory_out_opens_no_note_that_the_mover_does_not_even_see(
    kernel: Kernel, alice: Session, bob: Session
) -> None:
    with kernel.session().transaction() as tx:
        for name in ("alice", "dan"):
            tx.put_user(User(name, ("crew",)))
    bob.mkdir("/memory/shut/inner", parents=True)
    alice.write("/memory/shut/inner/crews.md", "xyzzy")
    alice.set_owner("/memory/shut/inner/crews.md", group="crew")
    alice.set_mode("/memory/shut/inner/crews.md", 0o640)
    bob.set_mode("/memory/shut", 0o700)
    told = answer(lambda: bob.rename("/memory/shut/inner", "/memory/inner"))
    assert "crews" not in told
    assert agent(kernel, "dan").search("xyzzy") == []


@pytest.mark.parametrize("access", ["r", "rw"])
def test_a_share_on_a_private_space_lets_nobody_take_it_away(
    alice: Session, bob: Session, access: Any
) -> None:
    alice.mkdir("/private/empty", parents=True)
    alice.delete("/private/empty")
    alice.share("/private", "bob", access)
    assert "gave" not in answer(lambda: bob.delete("/memory/private/alice"))
    assert "gave" not in answer(lambda: bob.rename("/memory/private/alice", "/private/alices"))
    assert "gave" not in answer(lambda: bob.rename_prefix("/memory/private/ali", "/memory/ali"))
    assert alice.stat("/private").owner == "alice"


def test_a_private_space_is_private_however_it_came_to_be(alice: Session, bob: Session) -> None:
    alice.mkdir("/memory/wide")
    alice.write("/memory/wide/note.md", "xyzzy")
    answer(lambda: alice.rename("/memory/wide", "/private"))
    answer(lambda: alice.rename_prefix("/memory/wide", "/memory/private/alice"))
    answer(lambda: alice.write("/private", "xyzzy"))
    answer(lambda: alice.write_many([("/private", "xyzzy")]))
    alice.write("/private/note.md", "xyzzy")
    with pytest.raises(NotFound):
        bob.stat("/memory/private/alice")
    with pytest.raises(NotFound):
        bob.list("/memory/private/alice")


def test_elevated_rights_pass_spaces_and_modes_and_nothing_else(kernel: Kernel, alice: Session) -> None:
    alice.write("/private/xyzzy.md", "xyzzy")
    with kernel.session().transaction() as tx:
        tx.put_user(User("auditor", (), frozenset({"read", "sudo"})))
    elevated = agent(kernel, "auditor").elevated(60)
    assert elevated.read("/memory/private/alice/xyzzy.md").text == "xyzzy"
    for change in (
        lambda: elevated.write("/memory/private/alice/xyzzy.md", "changed"),
        lambda: elevated.append("/memory/private/alice/xyzzy.md", "changed"),
        lambda: elevated.delete("/memory/private/alice/xyzzy.md"),
        lambda: elevated.share("/memory/private/alice/xyzzy.md", "carol"),
        lambda: elevated.search("xyzzy"),
    ):
        with pytest.raises(Denied):
            change()


def test_elevation_ends_and_is_not_prolonged_without_the_capability(kernel: Kernel, alice: Session) -> None:
    alice.write("/private/xyzzy.md", "xyzzy")
    founder = kernel.session()
    with founder.transaction() as tx:
        tx.put_user(User("auditor", (), frozenset({"read", "sudo"})))
    elevated = agent(kernel, "auditor").elevated(60)
    with founder.transaction() as tx:
        tx.put_user(User("auditor", (), frozenset({"read"})))
    with pytest.raises(Denied):
        elevated.elevated(3600)
    over = agent(kernel, "auditor", elevated_until_ns=time.time_ns() - 1)
    with pytest.raises(NotFound):
        over.read("/memory/private/alice/xyzzy.md")


def test_a_key_that_does_not_say_so_does_not_elevate(kernel: Kernel) -> None:
    """An elevated session is journalled: a key that may only read would write."""
    founder = kernel.session().principal
    key = KeyScope(("/memory/*",), frozenset({"read"}))
    session = Session(kernel, Principal(founder.agent, founder.actor, owns_store=True, key=key))
    with pytest.raises(Denied):
        session.elevated(60)


def test_an_expired_key_tells_nothing(kernel: Kernel, alice: Session) -> None:
    alice.write("/memory/hidden.md", "xyzzy")
    key = KeyScope(("/memory/*",), frozenset({"read", "write", "delete"}), expires_ns=time.time_ns() - 1)
    expired = agent(kernel, "alice", key=key)
    for action in ("read", "stat", "list", "write", "delete", "rename", "links", "access"):
        hidden = answer(lambda: BY_NAME[action](expired, "/memory/hidden.md"))  # noqa: B023
        absent = answer(lambda: BY_NAME[action](expired, "/memory/absent.md"))  # noqa: B023
        assert hidden.replace(HIDDEN, MISSING) == absent, action
        assert "gave" not in hidden


def test_a_key_that_covers_no_changes_tells_nothing_by_refusing_them(kernel: Kernel, alice: Session) -> None:
    alice.write("/memory/hidden.md", "xyzzy")
    alice.set_mode("/memory/hidden.md", 0o600)
    alice.write("/private/hidden.md", "xyzzy")
    session = agent(kernel, "bob", key=KeyScope(("/memory/*",), frozenset({"read"})))
    for place in ("/memory", "/memory/private/alice"):
        for action in ("delete", "rename", "share", "set_mode", "update_meta", "link from it", "unlink"):
            hidden = answer(lambda: BY_NAME[action](session, f"{place}/hidden.md"))  # noqa: B023
            absent = answer(lambda: BY_NAME[action](session, f"{place}/absent.md"))  # noqa: B023
            assert hidden.replace(HIDDEN, MISSING) == absent, action


class _Everything(BaseHandler):
    def read(self, path: str, context: Context) -> bytes:
        return b"xyzzy"


def test_a_key_holds_for_what_providers_serve(tmp_path: Path) -> None:
    register_handler("everything", _Everything)
    with Kernel(NONE, tmp_path / "s.db", providers=[ProviderRule("/files/*", "everything")]) as kernel:
        assert agent(kernel, "bob").read("/files/a").text == "xyzzy"
        for paths, actions in ((("/memory/*",), {"read"}), (("/files/*",), {"delete"})):
            session = agent(kernel, "bob", key=KeyScope(paths, frozenset(actions)))
            for action in ("read", "stat"):
                told = answer(lambda: BY_NAME[action](session, "/files/a"))  # noqa: B023
                assert told.startswith(("NotFound", "Denied")), (paths, action)
        expired = agent(kernel, "bob", key=KeyScope(("/files/*",), frozenset({"read"}), expires_ns=1))
        with pytest.raises(Denied):
            expired.read("/files/a")


def test_who_searches_its_own_space_only_counts_its_own_space_only(
    kernel: Kernel, alice: Session, bob: Session
) -> None:
    alice.write("/private/lent.md", "xyzzy", {"tags": ["t"]})
    alice.share("/private/lent.md", "sue")
    bob.write("/memory/all.md", "xyzzy", {"tags": ["u"]})
    with kernel.session().transaction() as tx:
        tx.put_user(User("sue", (), frozenset({"write", "search_own"})))
    sue = agent(kernel, "sue")
    sue.write("/private/own.md", "xyzzy", {"tags": ["v"]})
    assert [hit.path for hit in sue.search("xyzzy")] == ["/memory/private/sue/own.md"]
    assert sue.tag_counts() == {"v": 1}
    assert (sue.stats().notes, sue.stats().private) == (1, 1)


def test_a_key_counts_what_it_covers(kernel: Kernel, alice: Session) -> None:
    alice.write("/memory/open/a.md", "one", {"tags": ["t"]})
    alice.write("/memory/other/b.md", "two", {"tags": ["u"]})
    key = KeyScope(("/memory/open/*",), frozenset({"read", "search"}))
    session = agent(kernel, "alice", key=key)
    assert [hit.path for hit in session.search("one two")] == ["/memory/open/a.md"]
    assert session.tag_counts() == {"t": 1}
    assert session.stats().notes == 1


def test_a_private_space_stays_its_agents_whoever_was_let_in(alice: Session, bob: Session) -> None:
    """What a guest puts there must not be something that its agent can neither see nor be rid of."""
    alice.mkdir("/private/project", parents=True)
    alice.share("/private/project", "bob", "rw")
    bob.write("/memory/private/alice/project/bobs.md", "from bob")
    assert [entry.name for entry in alice.list("/private/project")] == ["bobs.md"]
    assert alice.read("/private/project/bobs.md").text == "from bob"
    alice.share("/private/project", "bob", None)
    assert alice.delete("/private/project", recursive=True) == 2


# --- rules cannot be dodged ----------------------------------------------------------------------

RULED = Config(
    permissions=(
        PermissionRule("/memory/frozen/*", "ro"),
        PermissionRule("/memory/hidden/*", "none"),
        PermissionRule("/memory/*", "rw"),
    ),
    storage=NORMAL,
)


@pytest.fixture
def ruled(tmp_path: Path) -> Iterator[Session]:
    """An agent under RULED, in a store where things lie in the frozen and in the hidden place."""
    with Kernel(NONE, tmp_path / "ruled.db") as kernel:
        maker = agent(kernel, "alice")
        maker.write("/memory/frozen/law.md", "law")
        maker.write("/memory/frozen/deep/law.md", "law")
        maker.write("/memory/hidden/xyzzy.md", "xyzzy")
        maker.write("/memory/hidden/two\nlines.md", "xyzzy")
    with Kernel(RULED, tmp_path / "ruled.db") as kernel:
        yield agent(kernel, "bob")


def test_a_line_break_in_a_name_does_not_dodge_a_rule(ruled: Session) -> None:
    with pytest.raises(Denied):
        ruled.write("/memory/frozen/two\nlines.md", "x")
    with pytest.raises(NotFound):
        ruled.read("/memory/hidden/two\nlines.md")
    assert ruled.search("xyzzy") == []


@pytest.mark.parametrize("target", ["/memory/thawed", "/memory/some/where/thawed"])
def test_moving_the_directory_does_not_lift_a_rule_from_what_is_in_it(ruled: Session, target: str) -> None:
    for place, note in (("/memory/frozen", "law.md"), ("/memory/hidden", "xyzzy.md")):
        told = answer(lambda: ruled.rename(place, target))  # noqa: B023
        told += answer(lambda: ruled.rename_prefix(place[:-1], target))  # noqa: B023
        assert "xyzzy" not in told
        assert not ruled.exists(f"{target}/{note}")
    assert ruled.search("xyzzy") == []
    assert ruled.read("/memory/frozen/law.md").text == "law"


def test_deleting_the_directory_does_not_delete_what_a_rule_keeps(ruled: Session) -> None:
    for place in ("/memory/frozen", "/memory/hidden"):
        told = answer(lambda: ruled.delete(place, recursive=True))  # noqa: B023
        assert "gave" not in told
        assert "xyzzy" not in told
        assert "lines" not in told
    with Kernel(NONE, ruled.kernel.location) as kernel:
        assert agent(kernel, "alice").read("/memory/hidden/xyzzy.md").text == "xyzzy"


# --- a change of rights is felt at once ----------------------------------------------------------


def test_a_share_that_is_taken_back_is_gone_at_once_for_open_sessions(alice: Session, bob: Session) -> None:
    alice.write("/private/deep/lent.md", "xyzzy")
    path = "/memory/private/alice/deep/lent.md"
    for give, take in (
        (
            lambda: alice.share("/private/deep/lent.md", "bob"),
            lambda: alice.share("/private/deep/lent.md", "bob", None),
        ),
        (lambda: alice.share("/private/deep", "bob", "rw"), lambda: alice.set_shares("/private/deep", {})),
        (lambda: alice.share("/private", "bob"), lambda: alice.write("/private:shared", "")),
    ):
        give()
        for _ in range(3):  # the third is a hot one
            assert bob.read(path).text == "xyzzy"
        assert [hit.path for hit in bob.search("xyzzy")] == [path]
        assert bob.exists("/memory/private/alice")
        take()
        with pytest.raises(NotFound):
            bob.read(path)
        assert bob.search("xyzzy") == []
        assert not bob.exists("/memory/private/alice")
        assert not bob.exists("/memory/private/alice/deep")


NARROWINGS: dict[str, Callable[[Session], object]] = {
    "mode": lambda s: s.set_mode("/memory/open/note.md", 0o600),
    "mode of the directory": lambda s: s.set_mode("/memory/open", 0o700),
    "move to a private place": lambda s: s.rename("/memory/open/note.md", "/private/note.md"),
    "move the directory": lambda s: s.rename("/memory/open", "/private/open"),
    "delete": lambda s: s.delete("/memory/open/note.md"),
    "delete and write anew, closed": lambda s: (
        s.delete("/memory/open/note.md"),
        s.write("/private/note.md", "closed"),
        s.set_mode("/private/note.md", 0o600),
        s.rename("/private/note.md", "/memory/open/note.md"),
    ),
}


@pytest.mark.parametrize("way", NARROWINGS)
def test_what_is_closed_is_closed_at_once_for_open_sessions(alice: Session, bob: Session, way: str) -> None:
    alice.write("/memory/open/note.md", "xyzzy")
    for _ in range(3):
        bob.read("/memory/open/note.md")
    assert len(bob.search("xyzzy")) == 1
    NARROWINGS[way](alice)
    with pytest.raises(NotFound):
        bob.read("/memory/open/note.md")
    assert bob.search("xyzzy") == []


def test_the_way_to_a_shared_note_goes_with_the_note(kernel: Kernel, alice: Session, bob: Session) -> None:
    alice.write("/private/deep/lent.md", "x")
    alice.share("/private/deep/lent.md", "bob")
    assert bob.exists("/memory/private/alice/deep")
    alice.delete("/private/deep/lent.md")
    assert not agent(kernel, "bob").exists("/memory/private/alice/deep")
    assert not bob.exists("/memory/private/alice/deep")
    assert bob.list("/memory/private")[0].name == "bob"


def test_a_session_that_looks_while_a_change_commits_learns_of_it(kernel: Kernel, bob: Session) -> None:
    """The bell announces before the commit: what is read between the two must not be taken for the new state."""
    founder = kernel.session()
    with founder.transaction() as tx:
        tx.put_user(User("bob", (), frozenset({"read", "write"})))
    bob.write("/memory/bobs.md", "while he may")
    bell = kernel.writable_store().bell
    announce = bell.announce

    def looked_at(*arguments: Any, **named: Any) -> None:
        announce(*arguments, **named)
        bob.stat("/memory/bobs.md")

    bell.announce = looked_at  # type: ignore[method-assign]
    with founder.transaction() as tx:
        tx.put_user(User("bob", (), frozenset({"read"})))
    bell.announce = announce  # type: ignore[method-assign]
    with pytest.raises(Denied):
        agent(kernel, "bob").write("/memory/bobs.md", "a new session")
    with pytest.raises(Denied):
        bob.write("/memory/bobs.md", "the open one")


def test_a_hit_is_not_shown_as_it_is_after_it_was_closed(alice: Session, bob: Session) -> None:
    """Between the index's answer and the reading of the snippet, the owner closes the note and goes on writing."""
    alice.write("/memory/note.md", "quagga in public")
    bob.search("quagga")
    store: Any = bob.kernel.store
    real = store.read

    def closed_meanwhile(path: str, *approve: Any) -> Any:
        if path == "/memory/note.md":
            store.read = real
            alice.set_mode(path, 0o600)
            alice.write(path, "quagga xyzzy")
        return real(path, *approve)

    store.read = closed_meanwhile
    try:
        hits = bob.search("quagga")
    finally:
        store.read = real
    assert "xyzzy" not in repr(hits)


_OTHER_PROCESS = """
import json, sys
from vfs_core.config import Config, StorageSettings
from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.types import Principal

kernel = Kernel(Config(storage=StorageSettings(durability="normal")), sys.argv[1])
bob = Session(kernel, Principal("bob", "bob"))
path = "/memory/private/alice/deep/lent.md"
for _ in sys.stdin:
    told = {}
    for name, act in {
        "read": lambda: bob.read(path).text,
        "again": lambda: bob.read(path).text,
        "stat": lambda: bob.stat(path).size,
        "list": lambda: [entry.name for entry in bob.list("/memory/private/alice/deep")],
        "search": lambda: [hit.path for hit in bob.search("xyzzy")],
        "write": lambda: bob.append(path, "").version and "written",
    }.items():
        try:
            told[name] = act()
        except VfsError as error:
            told[name] = type(error).__name__
    print(json.dumps(told), flush=True)
"""


def test_a_share_that_is_taken_back_is_gone_at_once_in_another_process(alice: Session, bob: Session) -> None:
    alice.write("/private/deep/lent.md", "xyzzy")
    path = "/memory/private/alice/deep/lent.md"
    command = [sys.executable, "-c", _OTHER_PROCESS, alice.kernel.location]
    nothing = dict.fromkeys(("read", "again", "stat", "list", "write"), "NotFound") | {"search": []}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def ask() -> dict[str, object]:
            other.stdin.write("\n")  # type: ignore[union-attr]
            other.stdin.flush()  # type: ignore[union-attr]
            told: dict[str, object] = json.loads(other.stdout.readline())  # type: ignore[union-attr]
            return told

        try:
            assert ask() == nothing
            for access, written in (("r", "Denied"), ("rw", "written")):
                alice.share("/private/deep/lent.md", "bob", access)  # type: ignore[arg-type]
                assert ask() == {
                    "read": "xyzzy", "again": "xyzzy", "stat": 5, "list": ["lent.md"], "search": [path],
                    "write": written,
                }  # fmt: skip
            alice.share("/private/deep/lent.md", "bob", None)
            assert ask() == nothing
            alice.share("/private", "bob", "r")
            assert ask()["read"] == "xyzzy"
            alice.write("/private:shared", "")
            assert ask() == nothing
        finally:
            other.stdin.close()
            other.wait(30)
