"""Provider rules -> one immutable table: which rule serves a path, and what its parameters are.

The table also knows the read-only directories that exist only because patterns lie below them. It knows no
handlers and no rights; it says who should be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vfs_core.errors import Problem
from vfs_core.path import Pattern, compile_pattern
from vfs_core.pattern_tree import (
    NEVER,
    UNREACHABLE_CURE,
    LazyRegex,
    PatternTree,
    explain_unreachable,
    partial_parameters,
)

if TYPE_CHECKING:
    from vfs_core.config import ProviderRule


@dataclass(frozen=True, slots=True)
class Route:
    """A rule with its compiled pattern; `index` is its position in the file, from 0."""

    pattern: Pattern
    rule: ProviderRule
    index: int


class Matched(NamedTuple):
    """A path's route.

    `parameters` are the values of the pattern's `{names}`; for a directory above what the pattern
    matches (`listing_route`) those known so far. `relative` is the path below the pattern's static
    prefix, without a leading slash.
    """

    route: Route
    parameters: dict[str, str]
    relative: str


class Child(NamedTuple):
    """A name that a directory has because a pattern spells it out.

    Where one pattern makes it a file and another a directory, it is a directory.
    """

    name: str
    is_directory: bool


class RouteTable:
    """The compiled provider rules. The first rule in order that matches a path serves it.

    Immutable: a changed configuration makes a new table. All paths are normal absolute paths
    (`vfs_core.path.normalize`). Raises Invalid for a pattern that `compile_pattern` refuses.
    """

    def __init__(self, rules: Sequence[ProviderRule]) -> None:
        self.routes = tuple(
            Route(compile_pattern(rule.pattern), rule, index) for index, rule in enumerate(rules)
        )
        self._tops = _tops([route.pattern for route in self.routes])
        self._tree = PatternTree([route.pattern for route in self.routes])
        self._regexes = tuple(LazyRegex(route.pattern.regex) for route in self.routes)

    def may_serve(self, path: str) -> bool:
        """Whether a rule may have to do with `path` or with what is below it; decided by its first component."""
        return self._tops is None or path[1:].partition("/")[0] in self._tops

    def match(self, path: str) -> Matched | None:
        """The first rule that matches `path`, or None if no rule does."""
        if not self.may_serve(path):
            return None
        index = self._tree.first(path)
        return None if index == NEVER else self._matched(index, path)

    def listing_route(self, path: str) -> Matched | None:
        """Whom to ask for the names in the directory `path`: the first rule with something below it.

        That is the first rule whose pattern can match strictly below `path`, if `path` is at or below
        its static prefix: for `/live/{a}/{b}` both `/live` and `/live/x`, for `/live/*` everything from
        `/live` down. Above the static prefix there are only `children`.
        """
        index = self._tree.first_below(path)
        return None if index == NEVER else self._matched(index, path)

    def is_synthetic(self, path: str) -> bool:
        """Whether `path` is a read-only directory that exists because provider patterns lie below it."""
        node = self._tree.static(path)
        return node is not None and node.has_below

    def children(self, path: str) -> tuple[Child, ...]:
        """The names directly below `path` that patterns spell out, sorted."""
        node = self._tree.static(path)
        if node is None:
            return ()
        return tuple(Child(name, child.has_below) for name, child in sorted(node.literal.items()))

    def unreachable(self) -> list[Problem]:
        """The rules that can never serve a path, because of earlier ones or of what paths look like.

        Only what is certain is reported; a rule that several others cover together is not.
        """
        return [
            Problem(self.routes[index].rule.where, f"providers[{index}].pattern", what, UNREACHABLE_CURE)
            for index, what in explain_unreachable([route.pattern for route in self.routes])
        ]

    def _matched(self, index: int, path: str) -> Matched:
        route = self.routes[index]
        prefix = route.pattern.prefix
        relative = path[1:] if prefix == "/" else path[len(prefix) + 1 :]
        return Matched(route, self._parameters(route, path) if route.pattern.names else {}, relative)

    def _parameters(self, route: Route, path: str) -> dict[str, str]:
        match = self._regexes[route.index].fullmatch(path)
        if match is None:
            return partial_parameters(route.pattern, path)
        return dict(zip(route.pattern.names, match.groups(), strict=True))


def _tops(patterns: Sequence[Pattern]) -> frozenset[str] | None:
    """The first components of what patterns match; None if it may be any."""
    firsts = {pattern.text[1:].partition("/")[0] for pattern in patterns}
    return None if any("{" in each or "*" in each for each in firsts) else frozenset(firsts)
