"""Visibility classes: who may see a node, interned so that an index can filter by a small number.

Every directory has a *directory class*: what it takes to get into it, from the space it lies in and
the bars (search permissions) and shares of all directories down to itself. Every node has a *node
class*: its owner, group, mode and own shares. Whether an agent sees a node is a function of the two
(`permissions.Policy`), so an index stores them with each document and filters before it cuts.

Rules from the configuration are no part of a class: they belong to a process, not to the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vfs_core.types import Access

_NONE: Mapping[str, Access] = MappingProxyType({})

EXECUTE_ALL = 0o111


def merge_grants(*grants: Mapping[str, Access]) -> dict[str, Access]:
    """The union of shares, `rw` over `r`."""
    merged: dict[str, Access] = {}
    for grant in grants:
        for agent, access in grant.items():
            if merged.get(agent) != "rw":
                merged[agent] = access
    return merged


@dataclass(frozen=True)
class Bar:
    """A directory on the way that does not let everybody pass."""

    owner: str
    group: str
    mode: int


@dataclass(frozen=True)
class DirectoryClass:
    """What it takes to reach what is in a directory.

    `space`: the agent in whose private space it lies, or None. `bars`: the distinct directories on
    the way (itself included) whose search bits are not set for all. `shares`: what its own shares
    and those above it grant; a share passes space and bars alike.
    """

    space: str | None = None
    bars: frozenset[Bar] = frozenset()
    shares: Mapping[str, Access] = field(default_factory=lambda: _NONE)

    def key(self) -> str:
        """The canonical text by which equal classes are interned."""
        bars = sorted([bar.owner, bar.group, bar.mode] for bar in self.bars)
        return _canonical({"space": self.space, "bars": bars, "shares": dict(self.shares)})

    @classmethod
    def from_key(cls, key: str) -> DirectoryClass:
        """The class that `key()` gave."""
        raw = json.loads(key)
        bars = frozenset(Bar(*bar) for bar in raw["bars"])
        return cls(raw["space"], bars, MappingProxyType(raw["shares"]))

    def enter(self, name_space: str | None, node: NodeClass) -> DirectoryClass:
        """The class of a directory that lies in this one and is itself described by `node`.

        `name_space` is the private space that its path opens or lies in, or None.
        """
        bars = self.bars
        if node.mode & EXECUTE_ALL != EXECUTE_ALL:
            bars = bars | {Bar(node.owner, node.group, node.mode & EXECUTE_ALL)}
        return DirectoryClass(name_space, bars, MappingProxyType(merge_grants(self.shares, node.shares)))

    def widens_to(self, other: DirectoryClass, readable_by_all: bool) -> bool:
        """Whether moving something from here to `other` may let anybody new read it.

        `readable_by_all` says that the thing itself bars nobody. Errs on the side of yes.
        """
        if readable_by_all and self.space is None and not self.bars:
            return False
        if self.space is not None and other.space != self.space:
            return True
        if not self.bars <= other.bars:
            return True
        return any(self.shares.get(agent) not in (access, "rw") for agent, access in other.shares.items())


@dataclass(frozen=True)
class NodeClass:
    """Owner, group, permission bits and own shares of a node."""

    owner: str
    group: str
    mode: int
    shares: Mapping[str, Access] = field(default_factory=lambda: _NONE)

    def key(self) -> str:
        """The canonical text by which equal classes are interned."""
        return _canonical([self.owner, self.group, self.mode, dict(self.shares)])

    @classmethod
    def from_key(cls, key: str) -> NodeClass:
        """The class that `key()` gave."""
        owner, group, mode, shares = json.loads(key)
        return cls(owner, group, mode, MappingProxyType(shares))

    def bits_for(self, agent: str, groups: frozenset[str]) -> int:
        """The three permission bits that apply to an agent, as POSIX picks them."""
        if agent == self.owner:
            return self.mode >> 6 & 7
        if self.group in groups:
            return self.mode >> 3 & 7
        return self.mode & 7


@dataclass(frozen=True)
class Visible:
    """What one agent may read, in terms of classes: the filter that every index applies before its cut.

    A node is in if `(directory in open and node in readable) or directory in shared or node in granted`.
    All four are sets of class ids. `complete_to` is the highest class id that was considered; an id
    above it is unknown and hidden.
    """

    open: frozenset[int]
    readable: frozenset[int]
    shared: frozenset[int]
    granted: frozenset[int]
    complete_to: int

    def __contains__(self, pair: tuple[int, int]) -> bool:
        directory, node = pair
        return (
            (directory in self.open and node in self.readable)
            or directory in self.shared
            or node in self.granted
        )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
