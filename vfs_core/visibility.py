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
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from vfs_core.types import Access

_NONE: Mapping[str, Access] = MappingProxyType({})

EXECUTE_ALL = 0o111


@dataclass(frozen=True)
class Bar:
    """A directory on the way that does not let everybody pass."""

    owner: str
    group: str
    mode: int


@dataclass(frozen=True)
class Grant:
    """A share on a directory, as it reaches what is below: who may come in, and whose notes it opens.

    Only the owner of a node may open it. So a share opens what belongs to who gave it (`owner`), and passes the
    bars above the shared directory; `bars` are those below it, set up by others, which still hold.
    """

    agent: str
    access: Access
    owner: str
    bars: frozenset[Bar] = frozenset()


@dataclass(frozen=True)
class DirectoryClass:
    """What it takes to reach what is in a directory.

    `space`: the agent in whose private space it lies, or None. `bars`: the distinct directories on
    the way (itself included) whose search bits are not set for all. `grants`: its own shares and those
    of the directories above it, up to the private space that it lies in: nothing above a space opens it.
    """

    space: str | None = None
    bars: frozenset[Bar] = frozenset()
    grants: frozenset[Grant] = frozenset()

    def key(self) -> str:
        """The canonical text by which equal classes are interned."""
        grants = sorted([each.agent, each.access, each.owner, _bar_keys(each.bars)] for each in self.grants)
        return _canonical({"space": self.space, "bars": _bar_keys(self.bars), "grants": grants})

    @classmethod
    def from_key(cls, key: str) -> DirectoryClass:
        """The class that `key()` gave."""
        raw = json.loads(key)
        grants = (Grant(agent, access, owner, _bars(bars)) for agent, access, owner, bars in raw["grants"])
        return cls(raw["space"], _bars(raw["bars"]), frozenset(grants))

    def enter(self, name_space: str | None, node: NodeClass) -> DirectoryClass:
        """The class of a directory that lies in this one and is itself described by `node`.

        `name_space` is the private space that its path opens or lies in, or None.
        """
        bars = self.bars
        grants = self.grants if name_space == self.space else frozenset()
        if node.mode & EXECUTE_ALL != EXECUTE_ALL:
            bar = Bar(node.owner, node.group, node.mode & EXECUTE_ALL)
            bars = bars | {bar}
            grants = frozenset(
                each if each.owner == node.owner else replace(each, bars=each.bars | {bar}) for each in grants
            )
        own = {Grant(agent, access, node.owner) for agent, access in node.shares.items()}
        return DirectoryClass(name_space, bars, grants | own)

    def widens_to(self, other: DirectoryClass, readable_by_all: bool) -> bool:
        """Whether moving something from here to `other` may let anybody new read it.

        `readable_by_all` says that the thing itself bars nobody. Errs on the side of yes.
        """
        if readable_by_all and self.space is None and not self.bars:
            return False
        if self.space is not None and other.space != self.space:
            return True
        return not self.bars <= other.bars or not other.grants <= self.grants


def _bar_keys(bars: frozenset[Bar]) -> list[list[str | int]]:
    return sorted([bar.owner, bar.group, bar.mode] for bar in bars)


def _bars(keys: list[list[Any]]) -> frozenset[Bar]:
    return frozenset(Bar(*key) for key in keys)


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

    A node is in if `(directory in open and node in readable) or (directory, node) in shared or node in granted`.
    All are ids of classes. `complete_to` is the highest class id that was considered; an id above it is unknown
    and hidden.
    """

    open: frozenset[int]
    readable: frozenset[int]
    shared: frozenset[tuple[int, int]]
    granted: frozenset[int]
    complete_to: int

    def __contains__(self, pair: tuple[int, int]) -> bool:
        directory, node = pair
        return (
            (directory in self.open and node in self.readable) or pair in self.shared or node in self.granted
        )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
