"""Who may do what, said once more: a reading of the specification of access in plain terms.

It knows agents, groups, modes, shares, rules, keys and capabilities, and nothing of how AVM decides: it
imports none of it, interns nothing and caches nothing. It is slow, short, and meant to be read against the
specification line by line. Where that leaves something open, the reading is marked READING.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALLOWED, UNKNOWN, DENIED = "allowed", "not found", "denied"

ORDINARY = frozenset({"read", "write", "delete", "share", "search_all", "export"})

READING = {"stat", "read", "list", "search", "export"}
"""Operations that change nothing: a rule `ro` leaves them."""

CAPABILITY = {
    "stat": "read",
    "read": "read",
    "list": "read",
    "search": "search_own",
    "export": "export",
    "write": "write",
    "create": "write",
    "link": "write",
    "set_mode": "write",
    "delete": "delete",
    "share": "share",
}


@dataclass(frozen=True)
class Key:
    """What a session that was opened by a key is bound to."""

    paths: tuple[str, ...]
    actions: frozenset[str]


@dataclass(frozen=True)
class Agent:
    """A user: a name, groups, capabilities."""

    name: str
    groups: frozenset[str] = frozenset()
    capabilities: frozenset[str] = ORDINARY
    elevated: bool = False
    key: Key | None = None

    def holds(self, capability: str) -> bool:
        held = set(self.capabilities)
        if "write" in held:
            held |= {"read", "delete"}
        if "search_all" in held:
            held.add("search_own")
        return capability in held

    def is_in(self, group: str) -> bool:
        return group == self.name or group in self.groups


@dataclass
class Thing:
    """A file or a directory."""

    path: str
    directory: bool
    owner: str
    mode: int
    group: str = ""
    shares: dict[str, str] = field(default_factory=dict)

    def bits(self, agent: Agent) -> int:
        """The one triple of mode bits that applies: owner, else group, else others."""
        if agent.name == self.owner:
            return self.mode >> 6 & 7
        if agent.is_in(self.group or self.owner):
            return self.mode >> 3 & 7
        return self.mode & 7


@dataclass
class World:
    """Everything that there is, and the rules of a configuration: (pattern, none | ro | rw), first match wins."""

    things: dict[str, Thing] = field(default_factory=dict)
    rules: tuple[tuple[str, str], ...] = ()
    default_access: str | None = None

    def add(self, path: str, owner: str, mode: int, directory: bool = False, group: str = "") -> Thing:
        self.things[path] = thing = Thing(path, directory, owner, mode, group)
        return thing

    def above(self, path: str) -> list[str]:
        """The directories above a path, nearest first."""
        found = []
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            found.append(path)
        return found

    def nearest(self, path: str) -> Thing:
        """The nearest directory that there is above a path."""
        return next(self.things[p] for p in self.above(path) if p in self.things and self.things[p].directory)


# --- names ---------------------------------------------------------------------------------------


def space_of(path: str) -> str | None:
    """Whose private space a path lies in: /memory/private/<a>/** is a's."""
    parts = path.split("/")
    return parts[3] if parts[1:3] == ["memory", "private"] and len(parts) > 3 else None


def fits(pattern: str, path: str) -> bool:
    """Whether a pattern matches: `*` within a component, a trailing `/*` any depth."""
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    if wanted[-1] == "*":
        return len(given) >= len(wanted) and all(map(_fits, wanted[:-1], given))
    return len(given) == len(wanted) and all(map(_fits, wanted, given))


def _fits(wanted: str, given: str) -> bool:
    start, star, end = wanted.partition("*")
    if not star:
        return wanted == given
    return len(given) >= len(start) + len(end) and given.startswith(start) and given.endswith(end)


# --- the deciding order --------------------------------------------------------------------------


def decide(world: World, agent: Agent, operation: str, path: str) -> str:
    """What an agent gets who asks to do something with a path."""
    if operation == "append":
        operation = "write"
    if operation == "write" and not is_known(world, agent, path):
        # What it may not know of is as if it did not exist: writing then would make it.
        answer = decide(world, agent, "create", path)
        return UNKNOWN if answer == ALLOWED and path in world.things else answer
    if operation == "create":
        if not covers(agent, path, "create") or ceiling(world, agent, path) == "none":
            return UNKNOWN
        node = _creating(world, agent, path)
    else:
        if not is_known(world, agent, path):
            return UNKNOWN
        if not covers(agent, path, operation):
            return UNKNOWN
        node = _doing(world, agent, operation, world.things[path])
    if node == UNKNOWN:
        return UNKNOWN
    if agent.key and not agent.key.actions & {operation, CAPABILITY[operation]}:  # 1. the key
        return DENIED
    if ceiling(world, agent, path) == "ro" and operation not in READING:  # 2. the rules
        return DENIED
    if node == DENIED:  # 3 and 4. space and node
        return DENIED
    if not agent.holds(CAPABILITY[operation]):  # 5. the capability
        return DENIED
    if operation == "search" and not agent.holds("search_all") and space_of(path) != agent.name:
        return DENIED
    return ALLOWED


def is_known(world: World, agent: Agent, path: str) -> bool:
    """Whether an agent may know that there is something at a path."""
    thing = world.things.get(path)
    if thing is None or not covers(agent, path) or ceiling(world, agent, path) == "none":
        return False
    # READING: getting to a node is not enough to know of it; it must be one's own, or grant one something.
    return (
        agent.elevated
        or _bits(world, agent, thing) != 0
        or _owns(world, agent, thing)
        or _is_passage(world, agent, path)
    )


def covers(agent: Agent, path: str, operation: str = "stat") -> bool:
    """Step 1, as far as it hides: a key opens its paths and nothing else."""
    if agent.key is None or any(fits(pattern, path) for pattern in agent.key.paths):
        return True
    # READING: the way to what a key opens can be gone, as with rules.
    return operation in ("stat", "list") and any(
        f"{pattern.rstrip('*').rstrip('/')}/".startswith(path.rstrip("/") + "/")
        for pattern in agent.key.paths
    )


def ceiling(world: World, agent: Agent, path: str) -> str:
    """Step 2: the first rule that matches, else the default; one's own private space needs no rule."""
    access = next((access for pattern, access in world.rules if fits(pattern, path)), None)
    own = f"/memory/private/{agent.name}"
    if access is None:
        access = "rw" if path == own or path.startswith(own + "/") else world.default_access or "rw"
    if access == "none":
        # READING: the way to what is allowed can be gone, though nothing can be done on it.
        open_places = [pattern.rstrip("*").rstrip("/") for pattern, given in world.rules if given != "none"]
        if any(f"{place}/".startswith(path.rstrip("/") + "/") for place in (*open_places, own)):
            return "ro"
    return access


def _gets_to(world: World, agent: Agent, path: str) -> bool:
    """Step 3, and of step 4 the search permission on the directories above."""
    if agent.elevated:
        return True
    if space_of(path) not in (None, agent.name):
        return False
    return all(world.things[above].bits(agent) & 1 for above in world.above(path) if above in world.things)


def _shared_places(world: World, agent: Agent, path: str) -> list[Thing]:
    """The directories above a path whose shares let an agent come as far as to it.

    READING: only the owner of a node may open it. So a share on a directory opens what belongs to who gave it;
    it passes the directories above, and those below that are the giver's, while those of others must let the
    agent through. Nothing that lies above a private space opens it.
    """
    places, below = [], []
    for above in world.above(path):
        thing = world.things.get(above)
        if thing is None:
            continue
        if space_of(above) != space_of(path):
            break
        if agent.name in thing.shares and all(
            each.owner == thing.owner or each.bits(agent) & 1 for each in below
        ):
            places.append(thing)
        below.append(thing)
    return places


def _bits(world: World, agent: Agent, thing: Thing) -> int:
    """What modes and shares give an agent on a thing. In another's private space, only shares."""
    places = _shared_places(world, agent, thing.path)
    bits = 0
    if _gets_to(world, agent, thing.path) or (places and space_of(thing.path) is None):
        bits = thing.bits(agent)
    granted = [place.shares[agent.name] for place in places if place.owner == thing.owner]
    granted += [thing.shares[agent.name]] if agent.name in thing.shares else []
    for access in granted:
        bits |= 7 if access == "rw" else 5
    return bits


def _owns(world: World, agent: Agent, thing: Thing) -> bool:
    """READING: an owner shut out of the directories keeps these rights through a share on one of them."""
    return thing.owner == agent.name and (
        _gets_to(world, agent, thing.path) or bool(_shared_places(world, agent, thing.path))
    )


def _is_passage(world: World, agent: Agent, path: str) -> bool:
    """The directories above something shared exist for whom it is shared with."""
    return any(
        agent.name in thing.shares and path in world.above(thing.path) for thing in world.things.values()
    )


def _doing(world: World, agent: Agent, operation: str, thing: Thing) -> str:
    """Steps 3 and 4 for a thing that is known."""
    space = space_of(thing.path)
    if operation == "delete" and space != agent.name and thing.path == f"/memory/private/{space}":
        return DENIED  # READING: a private space is removed by its agent alone, whatever others hold
    if agent.elevated or operation == "stat":
        return ALLOWED
    bits, owner = _bits(world, agent, thing), _owns(world, agent, thing)
    if not bits and not owner:  # only a passage
        return ALLOWED if operation == "list" else DENIED
    if operation in ("share", "set_mode"):
        return ALLOWED if owner else DENIED
    if operation == "delete":
        return _removing(world, agent, thing)
    needed = 5 if operation == "list" else 4 if operation in READING else 2
    return ALLOWED if bits & needed == needed else DENIED


def _removing(world: World, agent: Agent, thing: Thing) -> str:
    """Deletion is anybody's who may write the directory, unless it is sticky."""
    parent = world.things[world.above(thing.path)[0]]
    if not _bits(world, agent, parent) & 2 or not _comes_into(world, agent, thing.path):
        return DENIED
    if parent.mode & 0o1000 and agent.name not in (thing.owner, parent.owner):
        return DENIED
    return ALLOWED


def _comes_into(world: World, agent: Agent, path: str) -> bool:
    return _gets_to(world, agent, path) or bool(_shared_places(world, agent, path))


def _creating(world: World, agent: Agent, path: str) -> str:
    """Steps 3 and 4 for a name that is free: the nearest directory decides."""
    if agent.elevated:
        return ALLOWED
    place = world.nearest(path)
    space = space_of(path)
    if space not in (None, agent.name) and space_of(place.path) != space:
        return UNKNOWN  # a space that is not there yet
    if not _comes_into(world, agent, path):
        return UNKNOWN
    return ALLOWED if _bits(world, agent, place) & 3 == 3 else DENIED
