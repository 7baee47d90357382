"""Looking back shows nobody what they could never have read: no draft, no private name, through no door.

The oracle keeps what each agent could read, by reading everything as that agent after every step. Whatever
history, time travel, diff, blame, trash or undo ever give an agent must be among it, or be of a note that it owns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.storage import Operation
from vfs_core.types import Entry, KeyScope, Node, Principal

AGENTS = ("akashi", "kuro", "third")
PLACES = (
    "/memory/{0}x",
    "/memory/d/{0}x",
    "/memory/d/e/{0}x",
    "/private/{0}x",
    "/private/p/{0}x",
    "/private/p/q/{0}x",
)
STEPS = 60


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as kernel:
        yield kernel


class World:
    """Three agents who write, open, move, remove and restore at random; and what each could read so far."""

    def __init__(self, kernel: Kernel, seed: int) -> None:
        self.random = random.Random(seed)
        self.sessions = {name: kernel.session(name) for name in AGENTS}
        self.readable: dict[str, set[bytes]] = {name: set() for name in AGENTS}
        self.paths: dict[str, set[str]] = {name: set() for name in AGENTS}
        self.moments: list[int] = []
        self.everything: set[str] = {"/memory", "/memory/d"}
        self.done: list[str] = []

    def step(self, number: int) -> None:
        """Somebody does something, which may be refused; then everybody looks."""
        name = self.random.choice(AGENTS)
        session, pick = self.sessions[name], self.random.choice
        path, other = self.path(session), self.path(session)
        text = f"{name} {number}\n".encode()
        actions = {
            "write": (6, lambda: session.write(path, text)),
            "append": (2, lambda: session.append(path, text)),
            "rename": (3, lambda: session.rename(path, other)),
            "rename up": (2, lambda: session.rename(path.rpartition("/")[0], other)),
            "share": (3, lambda: session.share(path, pick(AGENTS), pick(("r", "rw", None)))),
            "share up": (1, lambda: session.share(path.rpartition("/")[0], pick(AGENTS), "r")),
            "mode": (2, lambda: session.set_mode(path, pick((0o600, 0o640, 0o644, 0o666)))),
            "mode up": (1, lambda: session.set_mode(path.rpartition("/")[0], pick((0o700, 0o755, 0o777)))),
            "delete": (2, lambda: session.delete(path)),
            "delete up": (1, lambda: session.delete(path.rpartition("/")[0], recursive=True)),
            "restore": (2, lambda: self.restore(session)),
            "restore to": (1, lambda: self.restore(session, other)),
            "undo": (2, lambda: session.undo(path)),
            "undo since": (1, lambda: session.undo(agent=pick(AGENTS), since=pick(self.moments or [0]))),
        }
        what = self.random.choices(list(actions), [weight for weight, _ in actions.values()])[0]
        self.done.append(f"{name}: {what} {path} {other}")
        try:
            actions[what][1]()
        except VfsError as error:
            self.done[-1] += f" -> {type(error).__name__}"
        self.look()

    def path(self, session: Session) -> str:
        place = self.random.choice(PLACES).format(self.random.choice("abc"))
        return place.replace("/private", f"/memory/private/{session.principal.agent}")

    def restore(self, session: Session, to: str | None = None) -> None:
        trash = session.trash()
        if trash:
            session.restore(self.random.choice(trash).path, to=to)

    def look(self) -> None:
        """Note what each agent can read now."""
        for name, session in self.sessions.items():
            for found in session.walk("/memory", Operation.STAT):
                self.paths[name].add(found.path)
                self.everything.add(found.path)
            for found in session.walk("/memory"):
                if found.stat is not None and not found.stat.is_directory:
                    self.readable[name].add(session.read(found.path).data)
        self.moments.append(time.time_ns())

    def check(self) -> None:
        """Look back as every agent, from everywhere to every moment."""
        for name, session in self.sessions.items():
            for path in sorted(self.everything):
                for node in shown(session, path, self.moments):
                    assert node.data in self.readable[name] or node.stat.owner == name, (
                        f"{name} is shown {node.data!r} at {path} after\n" + self.story()
                    )
            for moment in self.moments:
                for entry in tree_then(session, "/memory", moment):
                    assert entry.path in self.paths[name] or entry.stat.owner == name, (
                        f"{name} is told of {entry.path} after\n" + self.story()
                    )

    def story(self) -> str:
        return "\n".join(self.done)


def shown(session: Session, path: str, moments: list[int]) -> Iterator[Node]:
    """Everything that an agent gets by looking back at a path."""
    for moment in moments:
        try:
            yield session.as_of(path, time=moment)
        except VfsError:
            continue
    try:
        versions = session.history(path)
    except VfsError:
        return
    for version in versions:
        yield session.as_of(path, version=version.version)
    for number in range(1, 40):
        if number not in {version.version for version in versions}:
            with pytest.raises(VfsError):
                session.as_of(path, version=number)


def tree_then(session: Session, path: str, moment: int) -> Iterator[Entry]:
    """Everything below a directory as it was, as an agent is told."""
    try:
        entries = list(session.list_as_of(path, moment))
    except VfsError:
        return
    for entry in entries:
        yield entry
        if entry.is_directory:
            yield from tree_then(session, entry.path, moment)


@pytest.mark.parametrize("seed", range(6))
def test_looking_back_shows_only_what_could_be_read(kernel: Kernel, seed: int) -> None:
    world = World(kernel, seed)
    for number in range(STEPS):
        world.step(number)
    world.check()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_looking_back_shows_only_what_could_be_read_for_long(kernel: Kernel, seed: int) -> None:
    world = World(kernel, seed)
    for number in range(STEPS * 2):
        world.step(number)
    world.check()


def test_an_agent_without_capabilities_looks_back_at_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with Kernel(db=tmp_path / "avm.db") as open_to_all:
        kuro = open_to_all.session("kuro")
        kuro.write("/memory/x", "x")
        kuro.write("/memory/y", "y")
        kuro.delete("/memory/x")
    config.write_text("users:\n  other: {capabilities: [read]}\n")
    with Kernel(config, tmp_path / "avm.db") as closed:
        kuro = closed.session("kuro")
        assert kuro.trash() == []
        for attempt in (
            lambda: kuro.as_of("/memory/x", time=time.time_ns() - 1),
            lambda: kuro.as_of("/memory/y", version=1),
            lambda: kuro.history("/memory/y"),
            lambda: kuro.restore("/memory/x"),
            lambda: kuro.undo("/memory/x"),
        ):
            with pytest.raises(VfsError):
                attempt()


def test_a_key_sees_no_former_path_of_its_agents_notes(kernel: Kernel) -> None:
    akashi = kernel.session("akashi")
    akashi.write("/private/secret-plan", "draft")
    akashi.rename("/private/secret-plan", "/memory/shared/plan")
    akashi.set_mode("/memory/shared/plan", 0o644)
    akashi.write("/memory/shared/plan", "final")
    scope = KeyScope(("/memory/shared/*",), frozenset({"read", "write"}))
    keyed = kernel.open_session(Principal("akashi", "akashi", key=scope))
    assert "secret" not in repr(keyed.history("/memory/shared/plan")) + repr(keyed.audit())
    for moment in (0, time.time_ns()):
        with pytest.raises(VfsError):
            keyed.as_of("/memory/private/akashi/secret-plan", time=moment)


def test_who_may_not_delete_a_note_may_not_let_it_expire(kernel: Kernel) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/private/x", "x")
    akashi.share("/private/x", "kuro", "rw")
    with pytest.raises(VfsError):
        kuro.delete("/memory/private/akashi/x")
    with pytest.raises(VfsError):
        kuro.set_expiry("/memory/private/akashi/x", 1)
    assert akashi.read("/private/x").text == "x"
