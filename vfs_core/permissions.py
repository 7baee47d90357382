"""One policy: who may do what, decided in one order, in one place.

The order is that of docs/access.md: key scope, rules (a ceiling), spaces, modes and shares, capability. What an
agent may not know of is NotFound, worded as for what does not exist; what it may know of but not do is Denied,
naming the rule. A `Policy` is compiled from the configuration and never changes; a `Judge` applies it to one
principal on one store and remembers what it has decided, by visibility classes, until the store's epoch moves.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from vfs_core.bell import EPOCH
from vfs_core.config import Config
from vfs_core.errors import Denied, NotFound, NotOwner, QuotaExceeded, VfsError
from vfs_core.path import PRIVATE, Pattern, compile_pattern, is_within, private_space, space_of, split
from vfs_core.storage import Found, Operation, Store
from vfs_core.types import Principal, User
from vfs_core.visibility import Bar, DirectoryClass, Grant, NodeClass, Visible

ORDINARY = frozenset({"read", "write", "delete", "share", "search_all", "export"})
"""What an agent holds unless its capabilities are declared."""
CAPABILITIES = ORDINARY | {"search_own", "sudo", "admin", "act_as"}
_IMPLIED = {"write": {"read", "delete"}, "search_all": {"search_own"}, "admin": {"sudo"}}

_NEEDS = {
    Operation.STAT: "read",
    Operation.READ: "read",
    Operation.LIST: "read",
    Operation.SEARCH: "search_own",
    Operation.EXPORT: "export",
    Operation.WRITE: "write",
    Operation.CREATE: "write",
    Operation.LINK: "write",
    Operation.MODE: "write",
    Operation.DELETE: "delete",
    Operation.SHARE: "share",
}
"""The capability that each operation needs."""

_READING = Operation.READ
"""Bound once: in Python 3.11 a member of an enumeration takes as long to find as a class to judge by."""
_READS = frozenset({Operation.STAT, Operation.READ, Operation.LIST, Operation.SEARCH, Operation.EXPORT})
_BY_NAME = frozenset({Operation.CREATE, Operation.SEARCH, Operation.STAT, Operation.LIST})
"""Operations for which more than the classes may count: the name itself."""
_READ, _WRITE, _SEARCH_BIT = 4, 2, 1
_STICKY = 0o1000
_SHARED = {"r": _READ | _SEARCH_BIT, "rw": _READ | _WRITE | _SEARCH_BIT}
"""What a share gives, in permission bits."""


@dataclass(frozen=True)
class Quota:
    """How much more an agent may keep: bytes of content and notes."""

    size: int
    notes: int


@dataclass(frozen=True)
class Ceiling:
    """What a rule allows at most, and how to name the rule. `access` None: no rule applies."""

    access: str | None
    rule: str


_UNRULED = Ceiling(None, "")


class Policy:
    """Rules, default access and declared users of one configuration."""

    def __init__(self, config: Config) -> None:
        self._rules = [
            (compile_pattern(rule.pattern), rule.access, rule.where) for rule in config.permissions
        ]
        self._regex = re.compile("|".join(f"(?P<r{i}>{rule[0].regex})" for i, rule in enumerate(self._rules)))
        self._default = config.default_access
        self.declared = config.users
        self.has_rules = bool(self._rules) or self._default is not None
        self.may_hide = self._default == "none" or any(access == "none" for _, access, _ in self._rules)
        self._granted = [rule[0].prefix for rule in self._rules if rule[1] != "none"]
        self._ceilings: dict[tuple[str, str], Ceiling] = {}

    def ceiling(self, path: str, agent: str) -> Ceiling:
        """The first rule that matches, else the default; one's own places need no rule."""
        known = self._ceilings.get((path, agent))
        if known is None:
            if len(self._ceilings) > 10_000:
                self._ceilings.clear()
            known = self._ceilings[path, agent] = self._find_ceiling(path, agent)
        return known

    def _find_ceiling(self, path: str, agent: str) -> Ceiling:
        if self._rules:
            match = self._regex.fullmatch(path)
            if match is not None and match.lastgroup is not None:
                pattern, access, where = self._rules[int(match.lastgroup[1:])]
                return self._let_through(path, agent, Ceiling(access, _rule_name(pattern, access, where)))
        if self._default is None or is_within(path, private_space(agent)):
            return _UNRULED
        return self._let_through(path, agent, Ceiling(self._default, f"default_access: {self._default}"))

    def _let_through(self, path: str, agent: str, ceiling: Ceiling) -> Ceiling:
        """A directory above something that is allowed can be entered, whatever its own rule says."""
        if ceiling.access == "none" and any(
            is_within(prefix, path) for prefix in (*self._granted, private_space(agent))
        ):
            return Ceiling("ro", ceiling.rule)
        return ceiling

    def quota(self, agent: str, path: str) -> Quota | None:
        """What an agent may still add at a path; None: no limit. Consulted by every write; none is stored yet."""
        return None

    def is_uniform_below(self, path: str, agent: str) -> bool:
        """Whether certainly no rule keeps the agent from changing anything below a directory."""
        if not self.has_rules or is_within(path, private_space(agent)):
            return not self._rules
        for pattern, access, _ in self._rules:
            covers = pattern.text.endswith(("/*", "/**")) and pattern.text.rstrip("*").rstrip("/") == (
                pattern.prefix if pattern.prefix != "/" else ""
            )
            if covers and is_within(path, pattern.prefix):
                return access == "rw"
            if access != "rw" and (is_within(path, pattern.prefix) or is_within(pattern.prefix, path)):
                return False
        return self._default in (None, "rw")

    def user(self, name: str, stored: Mapping[str, User]) -> User:
        """An agent with its groups: as declared, else as stored, else unknown."""
        declared = None if self.declared is None else self.declared.get(name)
        known = stored.get(name)
        groups = frozenset((name, *(declared.groups if declared else ()), *(known.groups if known else ())))
        if declared is not None:
            held = declared.capabilities
        elif known is not None and known.capabilities is not None:
            held = known.capabilities
        else:
            held = frozenset() if self.declared is not None else None
        return User(name, tuple(sorted(groups)), held)

    def capabilities(self, principal: Principal, user: User) -> frozenset[str]:
        """What a principal holds, with what that implies."""
        held = set(ORDINARY if user.capabilities is None else user.capabilities)
        if principal.owns_store and principal.agent == principal.actor:
            held |= ORDINARY | {"act_as", "admin"}
        for capability in list(held):
            held |= _IMPLIED.get(capability, set())
        return frozenset(held)


def _rule_name(pattern: Pattern, access: str, where: str) -> str:
    return f"permissions: {pattern.text} {access}" + (f" ({where})" if where else "")


@dataclass(frozen=True)
class Verdict:
    """A decision: None if allowed, NotFound, Denied or NotOwner with the reason if not."""

    error: type[VfsError] | None = None
    reason: str = ""
    names_operation: bool = True
    """Whether the message may say what was asked; a key's must read alike for what is there and what is not."""


_ALLOWED = Verdict()
_HIDDEN = Verdict(NotFound)
_EXPIRED = Verdict(Denied, "the key has expired", False)


def _is_space_of_another(path: str, agent: str) -> bool:
    return split(path)[0] == PRIVATE and path != private_space(agent)


class Judge:
    """The policy as it applies to one principal on one store."""

    def __init__(self, policy: Policy, principal: Principal, store: Store) -> None:
        self.policy = policy
        self.principal = principal
        self.store = store
        self._agent = principal.agent
        self._mutex = threading.Lock()
        self._tag = -1
        self._verdicts: dict[tuple[Operation, int, int, int], Verdict] = {}
        self._plain = not policy.has_rules and principal.key is None and not principal.elevated_until_ns
        self._allowed: set[tuple[Operation, int, int, int]] = set()
        self._groups: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()
        self._passages: frozenset[str] = frozenset()
        self._classes: dict[int, DirectoryClass | NodeClass] = {}
        self._last_class = 0
        self._visible: tuple[int, Visible | None] = (-1, None)

    # --- deciding --------------------------------------------------------------------------------

    def check(self, operation: Operation, found: Found) -> None:
        """Raise what the policy says of an operation on a name in the store."""
        key = (operation, found.within, found.own, found.directory)
        if self._plain and self.store.bell.words[EPOCH] <= self._tag and key in self._allowed:
            return
        verdict = self.judge(operation, found)
        if verdict.error is not None:
            raise self._error(verdict, operation, found.path)

    def charge(self, path: str, size: int, notes: int) -> None:
        """Raise QuotaExceeded if a write of `size` bytes and `notes` notes more would exceed the agent's quota."""
        quota = self.policy.quota(self._agent, path)
        if quota is not None and (size > quota.size or notes > quota.notes):
            raise QuotaExceeded(
                f"{path}: {self._agent} may keep {quota.size:,} bytes and {quota.notes:,} notes more"
            )

    def check_read(self, found: Found) -> None:
        """`check` for reading a name."""
        key = (_READING, found.within, found.own, found.directory)
        if self._plain and self.store.bell.words[EPOCH] <= self._tag and key in self._allowed:
            return  # as in `check`, without another call for each read
        self.check(_READING, found)

    def allows(self, operation: Operation, found: Found) -> bool:
        """Whether `check` would pass."""
        key = (operation, found.within, found.own, found.directory)
        if self._plain and self.store.bell.words[EPOCH] <= self._tag and key in self._allowed:
            return True
        return self.judge(operation, found).error is None

    def judge(self, operation: Operation, found: Found) -> Verdict:
        """Decide on a name in the store: known at all? then key, rule, mode and capability in order."""
        self._refresh()
        verdicts, allowed = self._verdicts, self._allowed  # another thread may put new ones in their place
        path = found.path
        keyed = self._keyed(operation, path)
        if keyed is _HIDDEN or keyed is _EXPIRED:
            return keyed
        outer = self._outer(operation, path, None)
        if outer is _HIDDEN or (found.stat is None and operation is not Operation.CREATE):
            return _HIDDEN
        if self._elevated():
            inner = _ALLOWED
        elif operation is Operation.CREATE:
            inner = self._judge_creation(found)
        else:
            key = (operation, found.within, found.own, found.directory)
            known = verdicts.get(key)
            if known is None:
                known = verdicts[key] = self._judge_classes(operation, found)
            inner = known
            if inner is _HIDDEN and path in self._passages:
                inner = _ALLOWED if operation in (Operation.STAT, Operation.LIST) else _PASSAGE
        if inner is _HIDDEN:
            return _HIDDEN
        if operation is Operation.DELETE and _is_space_of_another(path, self._agent):
            return Verdict(Denied, "a private space is removed by its agent alone")
        for verdict in (keyed, outer):
            if verdict.error is not None:
                return verdict
        if inner.error is not None:
            return inner
        verdict = self._capable(operation, found)
        if self._plain and verdict.error is None and operation not in _BY_NAME and found.own:
            allowed.add((operation, found.within, found.own, found.directory))
        return verdict

    def check_ceiling(self, operation: Operation, path: str) -> None:
        """Raise what key and rules alone say of an operation on a path."""
        for verdict in (self._keyed(operation, path), self._outer(operation, path, None)):
            if verdict.error is not None:
                raise self._error(verdict, operation, path)

    def check_provided(self, operation: Operation, path: str) -> None:
        """Raise what the policy says of an operation on a path that a provider serves."""
        self._refresh()
        outer = self._keyed(operation, path)
        if outer.error is None:
            outer = _HIDDEN if self._is_anothers(path) else self._outer(operation, path, "ro")
        if outer.error is None:
            outer = self._holds(_NEEDS[operation])
        if outer.error is not None:
            raise self._error(outer, operation, path)

    def require(self, capability: str, what: str) -> None:
        """Raise Denied if the principal lacks a capability."""
        self._refresh()
        scope = self.principal.key
        if scope is not None and capability not in scope.actions:
            raise Denied(f"{self._agent} may not {what}: the key does not cover '{capability}'")
        if self._holds(capability).error is not None:
            raise Denied(f"{self._agent} may not {what}: it lacks the capability '{capability}'")

    def knows_directory(self, path: str) -> bool:
        """Whether no space, rule or key hides a synthetic directory."""
        self._refresh()
        if self._is_anothers(path) or self._keyed(Operation.LIST, path) is not _ALLOWED:
            return False
        return self._outer(Operation.LIST, path, "ro") is not _HIDDEN

    # --- filters ---------------------------------------------------------------------------------

    @property
    def sees_by_class(self) -> bool:
        """Whether classes alone decide what is visible (no rule and no key can hide more)."""
        return not self.policy.may_hide and self.principal.key is None

    def may_search_in(self, path: str) -> bool:
        """Whether key, rules and capabilities let the principal search at a path, whatever is there, or was."""
        self._refresh()
        if "search_all" not in self._held and space_of(path) != self._agent:
            return False
        asked = self._keyed(Operation.SEARCH, path), self._outer(Operation.SEARCH, path, None)
        return all(verdict.error is None for verdict in asked)

    def visible(self) -> Visible:
        """The filter for indexes and counts: what this principal may find."""
        self._refresh()
        if "search_own" not in self._held:
            raise Denied(
                f"{self._agent} may not search: it lacks the capability 'search_all' (or 'search_own')"
            )
        tag, made = self._visible
        if made is None or tag != self._tag or self.principal.elevated_until_ns:
            tag = self._tag
            made = self._make_visible()
            self._visible = tag, made
        return made

    def _make_visible(self) -> Visible:
        everywhere = "search_all" in self._held
        elevated = self._elevated()
        opened, readable, granted = set(), set(), set()
        lent: dict[str, set[int]] = {}
        owned: dict[str, set[int]] = {}
        for id, each in self._classes.items():
            if isinstance(each, DirectoryClass):
                if not everywhere and each.space != self._agent:
                    continue
                grants = self._grants(each)
                if elevated or self._enters(each) or (grants and each.space is None):
                    opened.add(id)
                for grant in grants:
                    lent.setdefault(grant.owner, set()).add(id)
            else:
                owned.setdefault(each.owner, set()).add(id)
                if elevated or each.bits_for(self._agent, self._groups) & _READ:
                    readable.add(id)
                if everywhere and self._agent in each.shares:
                    granted.add(id)
        shared = {
            (directory, node)
            for owner, directories in lent.items()
            for directory in directories
            for node in owned.get(owner, ())
        }
        return Visible(
            frozenset(opened), frozenset(readable), frozenset(shared), frozenset(granted), self._last_class
        )

    def passages(self) -> frozenset[str]:
        """The directories that exist for this agent only because something below them is shared with it."""
        self._refresh()
        return self._passages

    def groups(self) -> frozenset[str]:
        """The groups that the principal is in."""
        self._refresh()
        return self._groups

    def is_elevated(self) -> bool:
        """Whether `sudo` is in force."""
        return self._elevated()

    def forget(self) -> None:
        """Drop every remembered decision (after a transaction that was rolled back, for instance)."""
        self._tag = -1

    # --- the steps -------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read anew who is who and which classes there are, if that may have changed since the journal was at `_tag`.

        All of it at once, so that judging a name reads nothing more, whether it is there, hidden or missing.

        The epoch is announced before its change can be seen, so it is compared with where the journal stood when
        this was read, not with the epoch then.
        """
        if self.store.bell.words[EPOCH] <= self._tag:
            return
        tag = self.store.head().sequence
        classes = self.store.classes(self._last_class)
        passages = self._find_passages()
        user = self.policy.user(self._agent, self.store.users())
        with self._mutex:  # never held while the store is asked
            if tag < self._tag:
                return  # another thread has read later
            self._classes.update(classes)
            self._last_class = classes[-1][0] if classes else self._last_class
            self._passages = passages
            self._groups = frozenset(user.groups)
            self._held = self.policy.capabilities(self.principal, user)
            self._verdicts = {}
            self._allowed = set()
            self._tag = tag

    def _find_passages(self) -> frozenset[str]:
        paths: set[str] = set()
        for path in self.store.shared_with(self._agent):
            above = path
            while above != "/":
                above = split(above)[0]
                paths.add(above)
        return frozenset(paths)

    def _directory(self, id: int) -> DirectoryClass:
        """A directory class; one that the running transaction has made is known to the store alone."""
        known = self._classes.get(id)
        return known if isinstance(known, DirectoryClass) else self.store.directory_class(id)

    def _node(self, id: int) -> NodeClass:
        known = self._classes.get(id)
        return known if isinstance(known, NodeClass) else self.store.node_class(id)

    def _elevated(self) -> bool:
        until = self.principal.elevated_until_ns
        return bool(until) and time.time_ns() < until

    def _keyed(self, operation: Operation, path: str) -> Verdict:
        """Step 1: what the key allows, whether or not there is anything at the path."""
        scope = self.principal.key
        if scope is None:
            return _ALLOWED
        if scope.expires_ns is not None and time.time_ns() >= scope.expires_ns:
            return _EXPIRED
        patterns = [compile_pattern(pattern) for pattern in scope.paths]
        if not any(re.fullmatch(pattern.regex, path) for pattern in patterns):
            above = operation in (Operation.STAT, Operation.LIST) and any(
                is_within(pattern.prefix, path) for pattern in patterns
            )
            if not above:
                return _HIDDEN
        elif str(operation) not in scope.actions and _NEEDS[operation] not in scope.actions:
            return Verdict(Denied, f"the key does not cover '{_NEEDS[operation]}'", False)
        return _ALLOWED

    def _outer(self, operation: Operation, path: str, default: str | None) -> Verdict:
        """Step 2: the rule. `default` is the access where none applies."""
        verdict = _ALLOWED
        access, rule = default, "what providers serve is read-only unless a rule says rw"
        if self.policy.has_rules:
            ceiling = self.policy.ceiling(path, self._agent)
            if ceiling.access is not None:
                access, rule = ceiling.access, ceiling.rule
        if access == "none":
            return _HIDDEN
        if access == "ro" and operation not in _READS:
            verdict = Verdict(Denied, f"by the rule '{rule}'")
        return verdict

    def _is_anothers(self, path: str) -> bool:
        """Step 3 for what a provider serves: whether it lies in the space of another agent. No share opens it."""
        return space_of(path) not in (None, self._agent) and not self._elevated()

    def _enters(self, directory: DirectoryClass) -> bool:
        """Step 3 and the directories of step 4: whether the agent gets into a directory without a share."""
        if directory.space is not None and directory.space != self._agent:
            return False
        return all(self._passes(bar) for bar in directory.bars)

    def _passes(self, bar: Bar) -> bool:
        bits = NodeClass(bar.owner, bar.group, bar.mode).bits_for(self._agent, self._groups)
        return bool(bits & _SEARCH_BIT)

    def _grants(self, directory: DirectoryClass) -> list[Grant]:
        """The shares above that reach this agent here."""
        return [
            grant
            for grant in directory.grants
            if grant.agent == self._agent and all(self._passes(bar) for bar in grant.bars)
        ]

    def _bits(self, directory: DirectoryClass, node: NodeClass) -> int:
        """The permission bits that this agent has on a node in a directory: by its mode, by the shares above.

        In another's private space modes count for nothing: only a share opens it.
        """
        grants = self._grants(directory)
        bits = 0
        if self._enters(directory) or (grants and directory.space is None):
            bits = node.bits_for(self._agent, self._groups)
        for grant in grants:
            if grant.owner == node.owner:
                bits |= _SHARED[grant.access]
        return bits

    def _judge_classes(self, operation: Operation, found: Found) -> Verdict:
        """Steps 3 and 4 for a name that exists."""
        directory, node = self._directory(found.within), self._node(found.own)
        bits = self._bits(directory, node) | _SHARED.get(node.shares.get(self._agent, ""), 0)
        owner = node.owner == self._agent and (self._enters(directory) or bool(self._grants(directory)))
        if not bits and not owner:
            return _HIDDEN
        if operation is Operation.STAT:
            return _ALLOWED
        if operation in (Operation.SHARE, Operation.MODE):
            return _ALLOWED if owner else Verdict(NotOwner, f"only its owner, {node.owner}, may do that")
        if operation is Operation.DELETE:
            return self._judge_removal(found, directory, node)
        needed = {Operation.LIST: _READ | _SEARCH_BIT}.get(
            operation, _READ if operation in _READS else _WRITE
        )
        if bits & needed == needed:
            return _ALLOWED
        return Verdict(Denied, f"by its mode {node.mode:04o} (owner {node.owner}, group {node.group})")

    def _judge_removal(self, found: Found, directory: DirectoryClass, node: NodeClass) -> Verdict:
        """Removing a name changes its directory, so it is the directory's mode that counts."""
        parent = self._node(found.directory)
        if not self._bits(directory, parent) & _WRITE:
            return Verdict(Denied, f"by the mode {parent.mode:04o} of its directory (owner {parent.owner})")
        if parent.mode & _STICKY and self._agent not in (node.owner, parent.owner):
            return Verdict(Denied, f"by the sticky bit of its directory: only {node.owner} may remove it")
        return _ALLOWED

    def _judge_creation(self, found: Found) -> Verdict:
        """Steps 3 and 4 for a name that is absent: judged by the nearest directory that exists."""
        directory, parent = self._directory(found.within), self._node(found.directory)
        space = space_of(found.path)
        if space not in (None, self._agent) and directory.space != space:
            return _HIDDEN  # a space that is not there yet
        if not self._enters(directory) and not self._grants(directory):
            return _HIDDEN
        bits = self._bits(directory, parent)
        if bits & 3 == 3:
            return _ALLOWED
        return Verdict(Denied, f"by the mode {parent.mode:04o} of the directory (owner {parent.owner})")

    def _capable(self, operation: Operation, found: Found) -> Verdict:
        """Step 5."""
        if (
            operation is Operation.SEARCH
            and "search_all" not in self._held
            and space_of(found.path) != self._agent
        ):
            return Verdict(Denied, f"{self._agent} lacks the capability 'search_all'")
        return self._holds(_NEEDS[operation])

    def _holds(self, capability: str) -> Verdict:
        if capability in self._held:
            return _ALLOWED
        return Verdict(Denied, f"{self._agent} lacks the capability '{capability}'")

    def _error(self, verdict: Verdict, operation: Operation, path: str) -> VfsError:
        if verdict.error is None or verdict.error is NotFound:
            return NotFound.at(path)
        asked = f"{operation} denied" if verdict.names_operation else "denied"
        return verdict.error(f"{path}: {asked}: {verdict.reason}")


_PASSAGE = Verdict(Denied, "only something below this directory is shared with you")
