"""Agents x operations x places x configurations: what real sessions do is what the oracle says.

Every cell runs the real operation through a real session on a real store, in a transaction that is rolled
back at its end, so that each finds the same world. A failure lists the cells that differ, one a line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from oracle import ALLOWED, DENIED, UNKNOWN, Agent, Key, World, ceiling, decide, is_known, space_of

from vfs_core import errors
from vfs_core.config import Config, PermissionRule, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.storage import Operation, Transaction
from vfs_core.types import KeyScope, Principal, User

OWNER, MATE, READER, WRITER, STRANGER, GUEST, SEARCHER = "olga", "mate", "rita", "wim", "sven", "guest", "sue"
TEAM = "team"
TEAM_KEY = Key(("/memory/team/*", "/memory/private/olga/lent.md"), frozenset({"read", "write"}))

AGENTS = {
    "the owner": Agent(OWNER, frozenset({TEAM})),
    "a group mate": Agent(MATE, frozenset({TEAM})),
    "shared with, r": Agent(READER),
    "shared with, rw": Agent(WRITER),
    "a stranger": Agent(STRANGER),
    "a guest": Agent(GUEST, capabilities=frozenset()),
    "a searcher": Agent(SEARCHER, capabilities=frozenset({"read", "search_own"})),
    "a scribe": Agent("scribe", capabilities=frozenset({"write"})),
    "a newcomer": Agent("nobody-yet"),
    "the store's owner": Agent("(login)"),
    "the owner's key": Agent(OWNER, frozenset({TEAM}), key=TEAM_KEY),
    "a stranger's key": Agent(STRANGER, key=TEAM_KEY),
    "elevated": Agent("root-ish", elevated=True),
}

RULES: dict[str, tuple[tuple[tuple[str, str], ...], str | None]] = {
    "no configuration": ((), None),
    "the seed's": ((("/memory/*", "rw"), ("/live/*", "ro")), "ro"),
    "none but the team": ((("/memory/team/*", "rw"),), "none"),
    "hidden and frozen": (
        (
            ("/memory/hidden/*", "none"),
            ("/memory/frozen/*", "ro"),
            ("/memory/fro*", "ro"),
            ("/memory/*", "rw"),
        ),
        "ro",
    ),
    "private places ruled": ((("/memory/private/*/deep/*", "none"), ("/memory/private/*", "ro")), None),
    "users declared": ((), None),
}
"""Configurations by name: rules in file order, and default_access."""

LOGIN = "(login)"


# --- the world -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    path: str
    mode: int
    directory: bool = False
    owner: str = OWNER
    group: str = ""
    shares: tuple[tuple[str, str], ...] = ()


LENT = ((READER, "r"), (WRITER, "rw"))
PLACES = (
    _Place("/memory/common.md", 0o666),
    _Place("/memory/readable.md", 0o644),
    _Place("/memory/dropbox.md", 0o622),
    _Place("/memory/secret.md", 0o600),
    _Place("/memory/nothing.md", 0o000),
    _Place("/memory/grouped.md", 0o640, group=TEAM),
    _Place("/memory/not-for-the-team.md", 0o606, group=TEAM),
    _Place("/memory/strangers.md", 0o600, owner=STRANGER),
    _Place("/memory/lent.md", 0o600, shares=LENT),
    _Place("/memory/team", 0o777, True),
    _Place("/memory/team/anchor.md", 0o666),
    _Place("/memory/team/secret.md", 0o600),
    _Place("/memory/team/mates.md", 0o600, owner=MATE),
    _Place("/memory/grouped", 0o770, True, group=TEAM),
    _Place("/memory/grouped/note.md", 0o666),
    _Place("/memory/locked", 0o700, True),
    _Place("/memory/locked/inside.md", 0o666),
    _Place("/memory/locked/lent.md", 0o600, shares=LENT),
    _Place("/memory/closed", 0o755, True),
    _Place("/memory/closed/open.md", 0o666),
    _Place("/memory/closed/secret.md", 0o600),
    _Place("/memory/listed", 0o744, True),
    _Place("/memory/listed/note.md", 0o666),
    _Place("/memory/sticky", 0o1777, True),
    _Place("/memory/sticky/note.md", 0o666),
    _Place("/memory/sticky/strangers.md", 0o666, owner=STRANGER),
    _Place("/memory/hidden", 0o777, True),
    _Place("/memory/hidden/note.md", 0o666),
    _Place("/memory/frozen", 0o777, True),
    _Place("/memory/frozen/law.md", 0o666),
    _Place("/memory/shared/wide.md", 0o666),
    _Place("/memory/private/olga", 0o700, True),
    _Place("/memory/private/olga/diary.md", 0o600),
    _Place("/memory/private/olga/wide.md", 0o666),
    _Place("/memory/private/olga/lent.md", 0o600, shares=LENT),
    _Place("/memory/private/olga/deep", 0o700, True),
    _Place("/memory/private/olga/deep/note.md", 0o600),
    _Place("/memory/private/olga/deep/lent.md", 0o600, shares=LENT),
    _Place("/memory/private/olga/project", 0o700, True, shares=LENT),
    _Place("/memory/private/olga/project/plan.md", 0o600),
    _Place("/memory/private/olga/project/part", 0o700, True),
    _Place("/memory/private/olga/project/part/more.md", 0o600),
    _Place("/memory/private/olga/project/less", 0o700, True, shares=((READER, "rw"), (WRITER, "r"))),
    _Place("/memory/private/olga/project/less/note.md", 0o600),
    _Place("/memory/private/olga/project/note.md", 0o600, shares=((READER, "rw"), (WRITER, "r"))),
    _Place("/memory/lent", 0o750, True, shares=LENT),
    _Place("/memory/lent/own.md", 0o600),
    _Place("/memory/lent/own", 0o700, True),
    _Place("/memory/lent/own/note.md", 0o644),
    _Place("/memory/lent/sticky", 0o1777, True),
    _Place("/memory/lent/sticky/note.md", 0o666),
    _Place("/memory/private/sven", 0o700, True, owner=STRANGER),
    _Place("/memory/private/sven/diary.md", 0o600, owner=STRANGER),
    _Place("/archive", 0o777, True),
    _Place("/archive/old.md", 0o666),
    _Place("/archive/secret.md", 0o600),
)
FIXED = ("/", "/memory", "/memory/private", "/memory/shared")
MISSING = (
    "/memory/missing.md",
    "/memory/no/such/place.md",
    "/memory/team/missing.md",
    "/memory/locked/missing.md",
    "/memory/closed/missing.md",
    "/memory/hidden/missing.md",
    "/memory/frozen/missing.md",
    "/memory/private/olga/missing.md",
    "/memory/private/olga/deep/missing.md",
    "/memory/private/olga/project/missing.md",
    "/memory/private/nobody/missing.md",
    "/archive/missing.md",
)
EVERYWHERE = (*FIXED, *(place.path for place in PLACES), *MISSING)
DIRECTORIES = frozenset((*FIXED, *(place.path for place in PLACES if place.directory)))


def word_of(path: str) -> str:
    """A word that only the note at a path contains."""
    return "w" + path.encode().hex()


def world(login: str, rules: tuple[tuple[str, str], ...] = (), default: str | None = None) -> World:
    """The world as the oracle knows it."""
    known = World(rules=rules, default_access=default)
    for path in FIXED:
        known.add(path, login, 0o777, True)
    for place in PLACES:
        thing = known.add(place.path, place.owner, place.mode, place.directory, place.group)
        thing.shares.update(place.shares)
    return known


def build(location: str) -> None:
    """The same world in a store, made by sessions of its owners."""
    with Kernel(Config(storage=StorageSettings(durability="normal")), location) as kernel:
        founder = kernel.session()
        with founder.transaction() as tx:
            for agent in AGENTS.values():
                held = None if agent.capabilities == Agent("").capabilities else agent.capabilities
                if agent.name not in (LOGIN, "nobody-yet"):
                    tx.put_user(User(agent.name, tuple(sorted(agent.groups)), held))
        sessions = {name: Session(kernel, Principal(name, name)) for name in (OWNER, STRANGER, MATE)}
        for place in PLACES:
            session = sessions[place.owner]
            if place.directory:
                session.mkdir(place.path, exist_ok=True)
            else:
                session.write(place.path, word_of(place.path))
        for place in reversed(PLACES):  # from the leaves, so that no mode is in the way
            session = sessions[place.owner]
            if place.group:
                session.set_owner(place.path, group=place.group)
            session.set_mode(place.path, place.mode)
            for agent, access in place.shares:
                session.share(place.path, agent, access)  # type: ignore[arg-type]
        founder.search("anything")


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("table") / "store.db")
    build(path)
    return path


def config(name: str) -> Config:
    rules, default = RULES[name]
    declared = None
    if name == "users declared":  # without the newcomer, who then holds nothing
        declared = {
            agent.name: User(agent.name, tuple(sorted(agent.groups)), agent.capabilities)
            for agent in AGENTS.values()
            if agent.name not in (LOGIN, "nobody-yet")
        }
    return Config(
        permissions=tuple(PermissionRule(pattern, access) for pattern, access in rules),  # type: ignore[arg-type]
        default_access=default,  # type: ignore[arg-type]
        users=declared,
        storage=StorageSettings(durability="normal"),
    )


# --- what is done in a cell ----------------------------------------------------------------------


class Rehearsed(BaseException):
    """The operation went through, and was rolled back."""


def rehearse(kernel: Kernel) -> None:
    """From now on every transaction on the kernel's store that would commit is rolled back."""
    store = kernel.writable_store()
    real = store.transaction

    @contextmanager
    def rolled_back(*arguments: Any) -> Iterator[Transaction]:
        with real(*arguments) as tx:
            yield tx
            raise Rehearsed

    store.transaction = rolled_back  # type: ignore[method-assign, assignment]


def beside(path: str) -> str:
    """A free name in a directory, or beside a file."""
    place = path if path in DIRECTORIES else path.rpartition("/")[0]
    return f"{place.rstrip('/')}/brand-new.md"


def moved(path: str) -> str:
    return f"{path.rpartition('/')[0]}/moved-{path.rpartition('/')[2]}"


ANCHOR = "/memory/team/anchor.md"


def _search(session: Session, path: str) -> None:
    if path not in {hit.path for hit in session.search(word_of(path))}:
        raise Missed


def _export(session: Session, path: str) -> None:
    if path not in {found.path for found in session.walk(path, Operation.EXPORT)}:
        raise Missed


class Missed(Exception):
    """It is not among what was found."""


ACTIONS: dict[str, Callable[[Session, str], object]] = {
    "stat": lambda session, path: session.stat(path),
    "read": lambda session, path: session.read(path),
    "list": lambda session, path: session.list(path),
    "search": _search,
    "export": _export,
    "write": lambda session, path: session.write(path, "changed"),
    "append": lambda session, path: session.append(path, "more"),
    "create": lambda session, path: session.write(beside(path), "new"),
    "mkdir": lambda session, path: session.mkdir(beside(path), parents=True),
    "delete": lambda session, path: session.delete(path),
    "rename": lambda session, path: session.rename(path, moved(path)),
    "link": lambda session, path: session.link(path, ANCHOR),
    "link to": lambda session, path: session.link(ANCHOR, path),
    "share": lambda session, path: session.share(path, GUEST),
    "set_mode": lambda session, path: session.set_mode(path, 0o700 if path in DIRECTORIES else 0o640),
    "meta": lambda session, path: session.update_meta(path, {"title": "Mine"}),
    "tags": lambda session, path: session.write(f"{path}:tags", "mine"),
}


def outcome(action: str, session: Session, path: str) -> str:
    """What happened, in the oracle's words. What only depends on the kind of a node is past the policy."""
    try:
        ACTIONS[action](session, path)
    except (Rehearsed, errors.IsADirectory, errors.NotEmpty, errors.InUse):
        return ALLOWED
    except errors.NotADirectory:
        return "not a directory"
    except errors.Exists:
        return ALLOWED
    except errors.NotFound:
        return UNKNOWN
    except errors.Denied:
        return DENIED
    except Missed:
        return "not among them"
    return ALLOWED


def expected(known: World, agent: Agent, action: str, path: str) -> set[str]:
    """What may happen, according to the oracle."""

    def one(operation: str, at: str = path) -> str:
        return decide(known, agent, operation, at)

    def first(*answers: str) -> set[str]:
        return {next((answer for answer in answers if answer != ALLOWED), ALLOWED)}

    is_file = path in known.things and path not in DIRECTORIES
    if action == "list" and is_file:
        # Not a directory, for whoever may know that it is a file.
        return {UNKNOWN} if one("stat") == UNKNOWN else {"not a directory", DENIED}
    if action == "search":
        if not agent.holds("search_own") and not agent.elevated:
            return {DENIED}
        return {ALLOWED} if one("search") == ALLOWED else {"not among them"}
    if action == "export":
        if one("stat") != ALLOWED:
            return {one("stat")}
        return {ALLOWED} if one("export") == ALLOWED else {"not among them"}
    if action in ("create", "mkdir"):
        return {one("create", beside(path))}
    if action == "rename":
        answers = first(one("delete"), one("create", moved(path)))
        for below in known.things if path in DIRECTORIES and path not in FIXED else ():
            if below.startswith(path + "/") and answers == {ALLOWED}:  # a rule holds for what is below, too
                there = moved(path) + below[len(path) :]
                if {ceiling(known, agent, below), ceiling(known, agent, there)} != {"rw"}:
                    answers = {DENIED, UNKNOWN}
        return answers
    if action == "link":
        return first(one("link"), one("read", ANCHOR))
    if action == "link to":
        # Whichever is looked at first: test_isolation says that missing and hidden ones are told alike.
        return first(one("link", ANCHOR), one("read")) | first(one("read"), one("link", ANCHOR))
    if action in ("meta", "tags"):
        return {one("write") if is_known(known, agent, path) else UNKNOWN}
    return {one(action)}


def skipped(action: str, path: str) -> bool:
    """Cells that ask nothing: what only files have, asked of directories and of what is missing."""
    if action == "search":
        return path in DIRECTORIES or path in MISSING
    if path == ANCHOR and action in ("link", "link to"):
        return True  # nothing is linked to itself
    # A private space is no file and never moves, whoever asks.
    if path == "/memory/private" and action == "create":
        return True
    if space_of(path) and path.count("/") == 3:
        return action in ("write", "append", "rename")
    return path == "/" and action in ("read", "write", "append", "rename", "tags", "delete")


def open_session(kernel: Kernel, agent: Agent, login: str) -> Session:
    if agent.name == login:
        return kernel.session()
    scope = agent.key and KeyScope(agent.key.paths, agent.key.actions)
    until = 2**62 if agent.elevated else 0
    return Session(kernel, Principal(agent.name, agent.name, key=scope, elevated_until_ns=until))


# --- the table -----------------------------------------------------------------------------------


def as_configured(agent: Agent, name: str, login: str) -> Agent:
    """An agent as a configuration has it."""
    if agent.name == LOGIN:
        return replace(agent, name=login)
    if name == "users declared" and agent.name == "nobody-yet":
        return replace(agent, capabilities=frozenset())
    return agent


@pytest.mark.parametrize("who", AGENTS)
@pytest.mark.parametrize("configuration", RULES)
def test_sessions_do_what_the_oracle_says(location: str, configuration: str, who: str) -> None:
    with Kernel(config(configuration), location) as kernel:
        login = kernel.session().principal.agent
        known = world(login, *RULES[configuration])
        agent = as_configured(AGENTS[who], configuration, login)
        session = open_session(kernel, agent, login)
        rehearse(kernel)
        wrong = []
        for path, action in itertools.product(EVERYWHERE, ACTIONS):
            if skipped(action, path):
                continue
            should = expected(known, agent, action, path)
            does = outcome(action, session, path)
            if does not in should:
                wrong.append(f"{action:8} {path:45} {does}, and it should be {' or '.join(sorted(should))}")
    assert not wrong, f"{who} ({agent.name}), {configuration}: {len(wrong)} cells\n" + "\n".join(wrong)


def test_the_table_asks_for_every_answer_of_every_operation() -> None:
    """Else it could pass by being all of one colour."""
    seen: dict[str, set[str]] = {action: set() for action in ACTIONS}
    for name, (rules, default) in RULES.items():
        known = world("founder", rules, default)
        for agent, path, action in itertools.product(AGENTS.values(), EVERYWHERE, ACTIONS):
            if not skipped(action, path):
                seen[action] |= expected(known, as_configured(agent, name, "founder"), action, path)
    assert all(
        answers >= ({ALLOWED, DENIED} if action in ("search",) else {ALLOWED, DENIED, UNKNOWN})
        for action, answers in seen.items()
    ), seen


def test_nobody_but_the_grantees_gets_at_private_notes_under_any_configuration() -> None:
    """The oracle itself, held against the one sentence that matters most."""
    for rules, default in RULES.values():
        known = world("founder", rules, default)
        for agent in AGENTS.values():
            if agent.elevated or agent.name == OWNER:
                continue
            for place in PLACES:
                if space_of(place.path) != OWNER:
                    continue
                lent = any(
                    agent.name in dict(other.shares)
                    for other in PLACES
                    if place.path == other.path or place.path.startswith(other.path + "/")
                )
                if not lent:
                    assert decide(known, agent, "read", place.path) != ALLOWED, (agent.name, place.path)
