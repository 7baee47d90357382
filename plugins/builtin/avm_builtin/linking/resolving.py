"""What a mention leads to, for the agent who wrote it: nothing is found that this agent may not read.

A path is looked up, a name is looked for: the nearest note that is called so, by file name or title, in the space of
the note that mentions it, and from a private space in the shared ones too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from avm_builtin.linking.mentions import Mention
from avm_builtin.linking.tables import ENDINGS, key_of
from vfs_core.errors import VfsError
from vfs_core.path import join, space_of, split
from vfs_core.storage import Operation
from vfs_core.types import Kind

if TYPE_CHECKING:
    from vfs_core.session import Session

_AT_ONCE = 500


class Resolver:
    """Looks mentions up. Remembers which names lead where, so it is for one run only.

    `named` gives the notes that are found by a key, `act_for` the session of an agent.
    """

    def __init__(self, named: Callable[[str], list[int]], act_for: Callable[[str], Session]) -> None:
        self._named = named
        self._act_for = act_for
        self._nearest: dict[tuple[str, str | None, str], dict[str, tuple[int, str, int]]] = {}

    def target(self, mention: Mention, source: str, author: str) -> int | None:
        """The note that a mention in the note at the path `source` leads to; None if its author knows of none."""
        for path in _paths(mention, source):
            found = self._at(path, author)
            if found is not None:
                return found
        if mention.by_name and "/" not in mention.text:
            return self._by_name(mention, source, author)
        return None

    def _at(self, path: str, author: str) -> int | None:
        try:
            found = self._act_for(author).require_stored(path, Operation.READ)
        except VfsError:
            return None  # absent, hidden, served by a provider or no path at all: it is all the same
        return found.stat.id if found.stat is not None and found.stat.kind is Kind.FILE else None

    def _by_name(self, mention: Mention, source: str, author: str) -> int | None:
        nearest = self._nearest_named(key_of(mention.text), space_of(source), author)
        above = source
        while nearest and above != "/":
            above = split(above)[0]
            if above in nearest:
                return nearest[above][2]
        return None

    def _nearest_named(self, key: str, space: str | None, author: str) -> dict[str, tuple[int, str, int]]:
        """By directory, the note of a name that is nearest below it: (levels below, path, node)."""
        known = self._nearest.get((author, space, key))
        if known is not None:
            return known
        nearest: dict[str, tuple[int, str, int]] = {}
        judge = self._act_for(author).judge
        nodes = self._named(key)
        for start in range(0, len(nodes), _AT_ONCE):
            for found in judge.store.nodes(nodes[start : start + _AT_ONCE]):
                if (
                    found.stat is None
                    or found.stat.kind is not Kind.FILE
                    or space_of(found.path) not in (None, space)
                    or not judge.allows(Operation.READ, found)
                ):
                    continue
                above, levels = found.path, 0
                while above != "/":
                    above, levels = split(above)[0], levels + 1
                    here = (levels, found.path, found.stat.id)
                    nearest[above] = min(nearest.get(above, here), here)
        self._nearest[author, space, key] = nearest
        return nearest


def _paths(mention: Mention, source: str) -> Iterator[str]:
    """The paths that a mention may stand for, in order."""
    text = mention.text
    if text.startswith(("/", "@")):
        starts = [text]
    elif not mention.by_name:
        starts = [join(split(source)[0], text)]
    elif "/" in text:
        starts, above = [], source
        while above != "/":
            above = split(above)[0]
            starts.append(join(above, text))
    else:
        return
    for start in starts:
        yield start
        if not start.endswith(("/", *ENDINGS)):
            yield start + ENDINGS[0]
