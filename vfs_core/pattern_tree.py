"""Many path patterns as one tree over components: which is the first that matches a path?

A look-up visits the few tree nodes that the path's components lead to, so its cost does not grow with the
number of patterns. (One large alternation of regular expressions took 0.7 s to compile and up to 50 ms a
look-up at 10,000 patterns below one directory.) Two kinds are still tried one by one: patterns with `**`
before their end, among those with the same components before it, and components such as `*-a`, among
those with the same text before the wildcard at the same place.

What patterns mean is said by `vfs_core.path.compile_pattern` alone; the tree only finds them faster.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vfs_core.path import DEEP, Pattern, compile_pattern

UNREACHABLE_CURE = "move it up, make it narrower or remove it"

NEVER = 1 << 62
"""The index that is later than every pattern: nothing matches."""

_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_WILDCARD = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}|\*")


class LazyRegex:
    """A regular expression over whole paths, compiled when it is first used (0.1 ms each)."""

    __slots__ = ("_compiled", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._compiled: re.Pattern[str] | None = None

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """As in `re`, with a newline being a character like any other."""
        if self._compiled is None:
            self._compiled = re.compile(self._source, re.DOTALL)
        return self._compiled.fullmatch(text)


class _Tail(NamedTuple):
    """A pattern with `**` before its end; `head` matches whatever may have a match further below."""

    order: int
    regex: LazyRegex
    head: LazyRegex


class Node:
    """What the patterns say of one level: the components that lead on, and the patterns that end here.

    `leaf` is the first pattern that ends here, `deep` the first that ends here in `**`, `directory` the
    first with a wildcard still to come whose static prefix is reached.
    """

    __slots__ = ("any", "deep", "directory", "head_lengths", "leaf", "literal", "mixed", "tails")

    def __init__(self) -> None:
        self.literal: dict[str, Node] = {}
        self.any: Node | None = None
        self.mixed: dict[str, dict[str, tuple[LazyRegex, Node]]] = {}
        self.head_lengths: list[int] = []
        self.leaf = NEVER
        self.deep = NEVER
        self.tails: dict[str, _Tail] = {}
        self.directory = NEVER

    @property
    def has_below(self) -> bool:
        """Whether any pattern can match something below this level."""
        return bool(self.literal) or self.directory != NEVER

    def following(self, component: str) -> Iterator[Node]:
        """Where `component` leads: by its own name, by `{name}` or `*`, by what stands around a wildcard."""
        child = self.literal.get(component)
        if child is not None:
            yield child
        if self.any is not None:
            yield self.any
        for length in self.head_lengths:
            if length > len(component):
                break
            for regex, child in self.mixed.get(component[:length], _NO_CHILDREN).values():
                if regex.fullmatch(component):
                    yield child

    def enter(self, component: str) -> Node:
        """The node below for a pattern's component, made if it is new."""
        wildcard = _WILDCARD.search(component)
        if wildcard is None:
            return self.literal.setdefault(component, Node())
        if wildcard.group() == component:
            if self.any is None:
                self.any = Node()
            return self.any
        head = component[: wildcard.start()]
        if head not in self.mixed:
            self.mixed[head] = {}
            if len(head) not in self.head_lengths:
                insort(self.head_lengths, len(head))
        regex = LazyRegex(compile_pattern("/" + component).regex[1:])
        return self.mixed[head].setdefault(_canonical(component), (regex, Node()))[1]

    def covering(self, component: str) -> Iterator[Node]:
        """The nodes that every name matching a pattern's component leads to."""
        wildcard = _WILDCARD.search(component)
        if wildcard is None:
            yield from self.following(component)
            return
        if self.any is not None:
            yield self.any
        same = self.mixed.get(component[: wildcard.start()], _NO_CHILDREN).get(_canonical(component))
        if same is not None:
            yield same[1]


_NO_CHILDREN: dict[str, tuple[LazyRegex, Node]] = {}


class PatternTree:
    """Patterns with their indexes; the lowest index wins. Add in order of index."""

    def __init__(self, patterns: Sequence[Pattern] = ()) -> None:
        self._root = Node()
        for index, pattern in enumerate(patterns):
            self.add(pattern, index)

    def add(self, pattern: Pattern, index: int) -> None:
        """Add a pattern; one that can never match (`never_matches`) adds nothing."""
        if never_matches(pattern):
            return
        components, rest = _split(pattern)
        wild = False
        node = self._root
        for component in components:
            wild = wild or _WILDCARD.search(component) is not None
            if wild:
                node.directory = min(node.directory, index)
            node = node.enter(component)
        if not rest:
            node.leaf = min(node.leaf, index)
            return
        node.directory = min(node.directory, index)
        if rest == "**":
            node.deep = min(node.deep, index)
        else:
            start = "/".join(["", *components, rest[: rest.index("**")]])
            head = compile_pattern(start + "**").regex.removesuffix(DEEP) + "(?s:.*)"
            tail = _Tail(index, LazyRegex(pattern.regex), LazyRegex(head))
            node.tails.setdefault(_canonical(rest), tail)

    def first(self, path: str) -> int:
        """The lowest index of a pattern that matches `path`, or NEVER."""
        best = NEVER
        level = [self._root]
        for component in components_of(path):
            below: list[Node] = []
            for node in level:
                if node.deep < best:
                    best = node.deep
                for tail in node.tails.values():
                    if tail.order < best and tail.regex.fullmatch(path):
                        best = tail.order
                if node.head_lengths:
                    below.extend(node.following(component))
                    continue
                child = node.literal.get(component)  # `following`, without the cost of a generator
                if child is not None:
                    below.append(child)
                if node.any is not None:
                    below.append(node.any)
            level = below
        for node in level:
            if node.leaf < best:
                best = node.leaf
        return best

    def first_below(self, path: str) -> int:
        """The lowest index of a pattern that can match strictly below `path`, or NEVER.

        Only patterns with a wildcard count, and only where `path` is at or below their static prefix.
        """
        best = NEVER
        level = [self._root]
        for component in components_of(path):
            for node in level:
                best = min(best, node.deep)
                for tail in node.tails.values():
                    if tail.order < best and tail.head.fullmatch(path):
                        best = tail.order
            level = [child for node in level for child in node.following(component)]
        return min([best, *(node.directory for node in level)])

    def first_covering(self, pattern: Pattern) -> int:
        """The lowest index of a pattern that certainly matches whatever `pattern` matches, or NEVER."""
        components, rest = _split(pattern)
        best = NEVER
        level = [self._root]
        for component in components:
            best = min([best, *(node.deep for node in level)])
            level = [child for node in level for child in node.covering(component)]
        for node in level:
            if not rest:
                best = min(best, node.leaf)
            else:
                same = node.tails.get(_canonical(rest))
                best = min(best, node.deep, same.order if same is not None else NEVER)
        return best

    def static(self, path: str) -> Node | None:
        """The node that the components of `path` lead to without any wildcard."""
        node: Node | None = self._root
        for component in components_of(path):
            if node is None:
                return None
            node = node.literal.get(component)
        return node


def components_of(path: str) -> list[str]:
    """The components of a normal path; none for the root."""
    return path[1:].split("/") if path != "/" else []


def partial_parameters(pattern: Pattern, path: str) -> dict[str, str]:
    """The parameters that a directory above the pattern's matches already gives a value."""
    components, rest = _split(pattern)
    depth = len(components_of(path))
    start = components[:depth] + (["**"] if rest and depth > len(components) else [])
    shortened = compile_pattern("/" + "/".join(start))
    match = re.fullmatch(shortened.regex, path, re.DOTALL)
    return dict(zip(shortened.names, match.groups(), strict=True)) if match else {}


def never_matches(pattern: Pattern) -> str:
    """Why the pattern cannot match any normal path; empty if it can."""
    components = components_of(pattern.text.rstrip("/") or "/")
    for component in components:
        if component in ("", ".", ".."):
            return f"no path has the component {component!r}: paths are resolved before they are looked up"
    if "\0" in pattern.text:
        return "no path contains a NUL character"
    if components and components[0] == "private":
        return "/private is rewritten to /memory/private/<agent> before it is looked up"
    if components and components[0] == "shared":
        return "/shared is rewritten to /memory/shared before it is looked up"
    return ""


def explain_unreachable(patterns: Sequence[Pattern]) -> list[tuple[int, str]]:
    """The patterns that can never be the first to match, each with a sentence that says why.

    Only what is certain is reported: a pattern that several earlier ones cover together is not.
    """
    found: list[tuple[int, str]] = []
    tree = PatternTree()
    for index, pattern in enumerate(patterns):
        reason = never_matches(pattern)
        if not reason:
            earlier = tree.first_covering(pattern)
            if earlier != NEVER:
                reason = f"an earlier rule, for {patterns[earlier].text!r}, matches all that it would"
        if reason:
            found.append((index, f"{pattern.text!r} is never used: {reason}"))
        tree.add(pattern, index)
    return found


def _split(pattern: Pattern) -> tuple[list[str], str]:
    """The components before the first with `**`, and the rest from that component on (maybe empty).

    A trailing `/*` is `**`, as in `compile_pattern`.
    """
    body = pattern.text.rstrip("/") or "/"
    if body.endswith("/*"):
        body += "*"
    components = components_of(body)
    for position, component in enumerate(components):
        if "**" in component:
            return components[:position], "/".join(components[position:])
    return components, ""


def _canonical(text: str) -> str:
    return _PARAMETER.sub("{}", text)
