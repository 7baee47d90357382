"""Two agents and the founder do what comes to mind to one store, and a plain model says what must come of it.

The model is a dictionary of paths with contents, and the oracle's rules. After every step each agent must see
exactly what the model says: names, contents, tags, links and hits of a search. Long runs: AVM_SOAK=1.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from oracle import ALLOWED, DENIED, UNKNOWN, Agent, Thing, World, decide, is_known, space_of

from vfs_core import errors
from vfs_core.config import Config, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.types import Principal, User

SOAK = os.environ.get("AVM_SOAK") == "1"

ANN, BO, CREW = "ann", "bo", "crew"
WORDS = ("heron", "otter", "walnut")
PLACES = ("/memory", "/memory/shared", "/memory/d1", "/memory/d2", "/memory/d1/d3", "/memory/private/ann",
          "/memory/private/ann/d1", "/memory/private/bo", "/memory/private/bo/d2")  # fmt: skip
DIRECTORIES = tuple(place for place in PLACES if place.rpartition("/")[2] in ("d1", "d2", "d3"))
FILES = tuple(f"{place}/{name}" for place in PLACES for name in ("a.md", "ab.md"))
FIXED = ("/", "/memory", "/memory/private", "/memory/shared")

agents = st.sampled_from([ANN, ANN, ANN, BO, BO, BO, "founder"])
files, directories = st.sampled_from(FILES), st.sampled_from(DIRECTORIES)
at = st.tuples(st.sampled_from(range(40)), st.sampled_from(["taken", "taken", "taken", "its owner", "any"]))
"""Which of the nodes that there are, and whether its owner acts; now and then one of all names."""
texts = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
file_modes = st.sampled_from([0o666, 0o600, 0o640, 0o644, 0o660, 0o622, 0o400, 0o000])
directory_modes = st.sampled_from([0o777, 0o700, 0o750, 0o755, 0o1777, 0o770])
accesses = st.sampled_from(["r", "rw", None])


@dataclass
class Node(Thing):
    """What the model keeps of a file or directory, beyond what the oracle asks about."""

    text: str = ""
    tags: frozenset[str] = frozenset()
    number: int = field(default_factory=itertools.count().__next__)
    """Names the node for life, as its path does not."""
    links: set[tuple[int, str]] = field(default_factory=set)
    """Numbers of the targets, and kinds."""


REFUSED = (errors.NotFound, errors.Denied)


class Machine(RuleBasedStateMachine):
    """Steps: what agents may try. Whether it works, and how it fails, is the model's to say."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.kernel = Kernel(Config(storage=StorageSettings(durability="normal")), f"{self.folder.name}/s.db")
        founder = self.kernel.session()
        self.login = founder.principal.agent
        self.sessions = {
            ANN: Session(self.kernel, Principal(ANN, ANN)),
            BO: Session(self.kernel, Principal(BO, BO)),
            "founder": founder,
        }
        crew = frozenset({CREW})
        self.agents = {ANN: Agent(ANN, crew), BO: Agent(BO, crew), "founder": Agent(self.login)}
        self.everybody = [*self.agents.values(), Agent("carol"), Agent("dan", crew)]
        self.world = World()
        for path in FIXED:
            self.world.things[path] = Node(path, True, self.login, 0o777)

    @initialize()
    def store(self) -> None:
        with self.sessions["founder"].transaction() as tx:
            for name in (ANN, BO):
                tx.put_user(User(name, (CREW,)))
        for number, path in enumerate(FILES):
            who = path.split("/")[3] if space_of(path) else (ANN, BO)[number // 2 % 2]
            if number % 2:
                self.write(who=who, path=path, text=WORDS[number % len(WORDS)])  # type: ignore[call-arg]
        for path in ("/memory/private/ann/d1/ab.md", "/memory/private/bo/d2/ab.md"):
            self.chmod(self.things[path].owner, path, 0o644)
        self.lend(ANN, "/memory/private/ann/d1", BO, "rw")
        self.lend(BO, "/memory/private/bo/d2", ANN, "rw")

    def teardown(self) -> None:
        self.kernel.close()
        self.folder.cleanup()

    # --- how a step is checked -------------------------------------------------------------------

    @property
    def things(self) -> dict[str, Node]:
        return self.world.things  # type: ignore[return-value]

    def ask(self, who: str, operation: str, path: str) -> str:
        return decide(self.world, self.agents[who], operation, path)

    def expect(self, answer: str, act: Callable[[], object]) -> bool:
        """Run a step and compare with what should come of it; whether it went through."""
        wanted: Any = {UNKNOWN: errors.NotFound, DENIED: errors.Denied}.get(answer) or getattr(
            errors, answer, None
        )
        if answer == ALLOWED:
            act()
            return True
        try:
            act()
        except wanted:
            return False
        except errors.VfsError as error:
            raise AssertionError(f"should be {answer}, and is {type(error).__name__}: {error}") from error
        raise AssertionError(f"should be {answer}, and went through")

    def make(self, path: str, owner: str, directory: bool) -> Node:
        """Put a new node, and the directories that it needs, into the model.

        READING: what is made in a private space belongs to its agent, whoever makes it.
        """
        name = space_of(path) or self.agents[owner].name
        for above in reversed(self.world.above(path)):
            if above not in self.things:
                self.things[above] = Node(above, True, name, 0o700 if space_of(above) else 0o777)
        mode = 0o600 if space_of(path) else 0o666
        if directory:
            mode = 0o700 if space_of(path) else 0o777
        self.things[path] = made = Node(path, directory, name, mode)
        return made

    def pick(self, who: str, n: tuple[int, str], names: tuple[str, ...]) -> tuple[str, str]:
        """Who acts, and on what."""
        number, how = n
        taken = [name for name in names if name in self.things]
        if not taken or how == "any":
            return who, names[number % len(names)]
        path = taken[number % len(taken)]
        owner = self.things[path].owner
        return (owner if how == "its owner" and owner in (ANN, BO) else who), path

    def below(self, path: str) -> list[Node]:
        return [thing for place, thing in self.things.items() if place.startswith(path + "/")]

    # --- writing ---------------------------------------------------------------------------------

    @rule(who=agents, path=files, text=texts)
    def write(self, who: str, path: str, text: str) -> None:
        if self.expect(self.ask(who, "write", path), lambda: self.sessions[who].write(path, text)):
            (self.things.get(path) or self.make(path, who, False)).text = text

    @rule(who=agents, n=at, word=st.sampled_from(WORDS))
    def append(self, who: str, n: tuple[int, str], word: str) -> None:
        who, path = self.pick(who, n, FILES)
        if self.expect(self.ask(who, "append", path), lambda: self.sessions[who].append(path, f" {word}")):
            (self.things.get(path) or self.make(path, who, False)).text += f" {word}"

    @rule(who=agents, path=files, text=texts)
    def write_if_absent(self, who: str, path: str, text: str) -> None:
        answer = self.ask(who, "write", path)
        if answer == ALLOWED and path in self.things:
            answer = "Conflict"
        if self.expect(answer, lambda: self.sessions[who].write(path, text, base_version=0)):
            self.make(path, who, False).text = text

    @rule(who=agents, path=directories)
    def mkdir(self, who: str, path: str) -> None:
        known = is_known(self.world, self.agents[who], path)
        answer = "Exists" if known else self.ask(who, "create", path)
        if not known and path in self.things and answer == ALLOWED:
            answer = UNKNOWN
        if self.expect(answer, lambda: self.sessions[who].mkdir(path, parents=True)):
            self.make(path, who, True)

    @rule(who=agents, n=at, tags=st.sets(st.sampled_from(["red", "blue"])))
    def tag(self, who: str, n: tuple[int, str], tags: set[str]) -> None:
        who, path = self.pick(who, n, FILES + DIRECTORIES)
        answer = self.ask(who, "write", path) if is_known(self.world, self.agents[who], path) else UNKNOWN
        act = lambda: self.sessions[who].update_meta(path, {"tags": sorted(tags)})  # noqa: E731
        if self.expect(answer, act):
            self.things[path].tags = frozenset(tags)

    @rule(who=agents, n=at, m=at, kind=st.sampled_from(["related", "citation"]))
    def link(self, who: str, n: tuple[int, str], m: tuple[int, str], kind: str) -> None:
        who, source = self.pick(who, n, FILES)
        _, end = self.pick(who, m, FILES)
        answers = {self.ask(who, "link", source), self.ask(who, "read", end)} - {ALLOWED}
        act = lambda: self.sessions[who].link(source, end, kind)  # noqa: E731
        if len(answers) == 2:  # either may be told
            with pytest.raises(REFUSED):
                act()
        elif self.expect(*answers or {ALLOWED}, act):
            self.things[source].links.add((self.things[end].number, kind))

    # --- removing and moving ---------------------------------------------------------------------

    @rule(who=agents, n=at, recursive=st.booleans())
    def delete(self, who: str, n: tuple[int, str], recursive: bool) -> None:
        who, path = self.pick(who, n, FILES + DIRECTORIES)
        answer = self.ask(who, "delete", path)
        doomed = self.below(path)
        act = lambda: self.sessions[who].delete(path, recursive=recursive)  # noqa: E731
        if answer == ALLOWED and doomed:
            if not recursive:
                answer = "NotEmpty"
            elif any(self.ask(who, "delete", thing.path) != ALLOWED for thing in doomed):
                with pytest.raises((*REFUSED, errors.NotEmpty)):
                    act()
                return
        if self.expect(answer, act):
            for thing in [*doomed, self.things[path]]:
                del self.things[thing.path]

    @rule(who=agents, n=at, new=files, replace=st.booleans())
    def rename(self, who: str, n: tuple[int, str], new: str, replace: bool) -> None:
        who, old = self.pick(who, n, FILES)
        self.move(who, old, new, replace)

    @rule(who=agents, n=at, new=directories, replace=st.booleans())
    def rename_directory(self, who: str, n: tuple[int, str], new: str, replace: bool) -> None:
        who, old = self.pick(who, n, DIRECTORIES)
        self.move(who, old, new, replace)

    @rule(who=st.sampled_from([ANN, BO]), n=at, new=st.one_of(files, directories))
    def take_away(self, who: str, n: tuple[int, str], new: str) -> None:
        """Move something that another owns and that is not for all to read, to where more may read it or not."""
        loot = [
            path
            for path in sorted(self.things)
            if path in (DIRECTORIES if new in DIRECTORIES else FILES)
            and self.things[path].owner != self.agents[who].name
            and self.ask(who, "delete", path) == ALLOWED
        ]
        loot = [path for path in loot if self.ask("founder", "read", path) != ALLOWED] or loot
        if loot:
            self.move(who, loot[n[0] % len(loot)], new, True)

    @rule(
        who=agents,
        old=st.sampled_from(PLACES),
        new=st.sampled_from(PLACES),
        start=st.sampled_from(["a", "ab"]),
    )
    def rename_prefix(self, who: str, old: str, new: str, start: str) -> None:
        """With one name that fits, it is a rename; with more, all or none."""
        fit = [
            f"{old}/{name}"
            for name in ("a.md", "ab.md")
            if name.startswith(start) and f"{old}/{name}" in self.things
        ]
        seen = [path for path in fit if is_known(self.world, self.agents[who], path)]
        act = lambda: self.sessions[who].rename_prefix(f"{old}/{start}", f"{new}/{start}")  # noqa: E731
        if not seen:
            with pytest.raises(errors.NotFound):
                act()
        elif len(fit) == 1:
            self.move(who, fit[0], f"{new}/{fit[0].rpartition('/')[2]}", False, act)
        # several: whether the second may follow depends on the first; the state machine leaves it out

    def move(
        self, who: str, old: str, new: str, replace: bool, act: Callable[[], object] | None = None
    ) -> None:
        act = act or (lambda: self.sessions[who].rename(old, new, replace=replace))
        if old == new:
            return
        answer = self.ask(who, "delete", old)
        target = self.things.get(new)
        if answer == ALLOWED:
            known = is_known(self.world, self.agents[who], new)
            answer = self.ask(who, ("delete" if replace else "stat") if known else "create", new)
            if target and not known and answer == ALLOWED:
                answer = UNKNOWN
        if answer == ALLOWED:
            if new.startswith(old + "/"):
                answer = "Invalid"
            elif target:
                answer = "Exists" if not replace else "NotEmpty" if self.below(new) else ALLOWED
        if answer != ALLOWED:
            if answer == "NotEmpty" and any(space_of(p) for p in (old, new)):
                return  # may be refused for either reason; nothing changes
            self.expect(answer, act)
            return
        after = self.moved(who, old, new)
        moving = [self.things[old], *self.below(old)]
        owned = all(thing.owner == self.agents[who].name for thing in moving)
        if self.widens(who, old, new, after):
            with pytest.raises(REFUSED):
                act()
            return
        try:
            act()
        except errors.Denied:
            assert not owned, "refused to the owner of all that moves"  # else it may be careful
            return
        self.world = after

    def moved(self, who: str, old: str, new: str) -> World:
        """The world after a move, as a copy."""
        name = space_of(new) or self.agents[who].name
        after = World({path: thing for path, thing in self.things.items() if path != new})
        for above in reversed(after.above(new)):
            if above not in after.things:
                after.things[above] = Node(above, True, name, 0o700 if space_of(above) else 0o777)
        for path in [p for p in after.things if p == old or p.startswith(old + "/")]:
            thing = after.things.pop(path)
            to = new + path[len(old) :]
            after.things[to] = replace(thing, path=to)
        return after

    def widens(self, who: str, old: str, new: str, after: World) -> bool:
        """Whether somebody may read, after a move, what another than the mover owns and it could not before."""
        for origin, thing in self.things.items():
            if not (origin == old or origin.startswith(old + "/")) or thing.owner == self.agents[who].name:
                continue
            path = new + origin[len(old) :]
            for agent in self.everybody:
                if (
                    decide(after, agent, "read", path) == ALLOWED
                    and decide(self.world, agent, "read", origin) != ALLOWED
                ):
                    return True
        return False

    # --- who may ---------------------------------------------------------------------------------

    @rule(who=agents, n=at, to=st.sampled_from([ANN, BO]), access=accesses)
    def share(self, who: str, n: tuple[int, str], to: str, access: Any) -> None:
        self.lend(*self.pick(who, n, FILES + DIRECTORIES), to, access)

    def lend(self, who: str, path: str, to: str, access: Any) -> None:
        thing = self.things.get(path)
        if thing and any(other.owner != thing.owner for other in self.below(path)):
            return  # whose notes lie in it is test_isolation's business
        if self.expect(self.ask(who, "share", path), lambda: self.sessions[who].share(path, to, access)):
            self.things[path].shares.pop(to, None)
            if access:
                self.things[path].shares[to] = access

    @rule(who=agents, n=at, mode=file_modes)
    def set_mode(self, who: str, n: tuple[int, str], mode: int) -> None:
        self.chmod(*self.pick(who, n, FILES), mode)

    @rule(who=agents, n=at, mode=directory_modes)
    def set_mode_of_directory(self, who: str, n: tuple[int, str], mode: int) -> None:
        self.chmod(*self.pick(who, n, DIRECTORIES), mode)

    def chmod(self, who: str, path: str, mode: int) -> None:
        if self.expect(self.ask(who, "set_mode", path), lambda: self.sessions[who].set_mode(path, mode)):
            self.things[path].mode = mode

    @rule(who=st.sampled_from([ANN, BO]), n=at)
    def give_to_the_crew(self, who: str, n: tuple[int, str]) -> None:
        who, path = self.pick(who, n, FILES + DIRECTORIES)
        if self.expect(
            self.ask(who, "set_mode", path), lambda: self.sessions[who].set_owner(path, group=CREW)
        ):
            self.things[path].group = CREW

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def everybody_sees_what_the_model_says(self) -> None:
        for who, session in self.sessions.items():
            known = {path for path in self.things if self.ask(who, "stat", path) == ALLOWED}
            shown = {"/"} | {entry.path for place in known for entry in self.listed(who, place)}
            listed = {
                path
                for path in known
                if path == "/" or self.ask(who, "list", self.world.above(path)[0]) == ALLOWED
            }
            assert shown == listed, (
                f"{who} is shown {sorted(shown - listed)} and not {sorted(listed - shown)}"
            )
            readable = {
                p for p in known if not self.things[p].directory and self.ask(who, "read", p) == ALLOWED
            }
            assert {path: session.read(path).text for path in readable} == {
                path: self.things[path].text for path in readable
            }, who
            assert {path: set(session.read(path).tags) for path in readable} == {
                path: self.things[path].tags for path in readable
            }, who
            for path in (*FILES, *DIRECTORIES):
                if path not in known:
                    assert not session.exists(path), (who, path)

    def listed(self, who: str, place: str) -> list[Any]:
        if not self.things[place].directory or self.ask(who, "list", place) != ALLOWED:
            return []
        return self.sessions[who].list(place)

    @invariant()
    def everybody_finds_what_the_model_says(self) -> None:
        for who, session in self.sessions.items():
            found = {
                path
                for path, thing in self.things.items()
                if not thing.directory and self.ask(who, "search", path) == ALLOWED
            }
            for word in WORDS:
                hits = {hit.path for hit in session.search(word, limit=100)}
                assert hits == {path for path in found if word in self.things[path].text}, (who, word)
            counts: dict[str, int] = {}
            for path, thing in self.things.items():
                if self.ask(who, "search", path) == ALLOWED:
                    for tag in thing.tags:
                        counts[tag] = counts.get(tag, 0) + 1
            assert session.tag_counts() == counts, who
            stats = session.stats()
            assert (stats.notes, stats.size) == (len(found), sum(len(self.things[p].text) for p in found)), (
                who
            )

    @invariant()
    def links_lead_to_what_may_be_read(self) -> None:
        for who, session in self.sessions.items():
            readable = {
                path: thing
                for path, thing in self.things.items()
                if not thing.directory and self.ask(who, "read", path) == ALLOWED
            }
            for path, thing in readable.items():
                expected = {
                    (kind, other_path)
                    for other_path, other in readable.items()
                    for kind in ("related", "citation")
                    if (other.number, kind) in thing.links
                    or (kind == "related" and (thing.number, kind) in other.links)
                }
                assert {(link.kind, link.target) for link in session.links(path)} == expected, (who, path)


Machine.TestCase.settings = settings(
    max_examples=2000 if SOAK else 60,
    stateful_step_count=100 if SOAK else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestMachine = pytest.mark.timeout(3600 if SOAK else 900)(Machine.TestCase)
if SOAK:
    TestMachine = pytest.mark.soak(TestMachine)
