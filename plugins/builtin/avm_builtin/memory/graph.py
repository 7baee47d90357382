"""The notes around one, or below a directory, and the links between them: as data, Mermaid, Graphviz or JSON.

What a note is called may be any text. In each format all that could mean something to it is escaped, so that no title
can break, or add to, what is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from avm_builtin.memory.frames import on_one_line
from vfs_core.errors import Invalid, NotFound
from vfs_core.meta import title_of
from vfs_core.path import split
from vfs_core.storage import Found, Operation
from vfs_core.types import SYMMETRIC_LINKS, Kind, Link

if TYPE_CHECKING:
    from vfs_core.session import Session

Format: TypeAlias = Literal["mermaid", "dot", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)
LIMIT = 200
_LONGEST = 60
"""Characters of a label."""
_PLAIN = frozenset(" .,-_/")
"""What means nothing to Mermaid, letters and digits apart."""


class Vertex(NamedTuple):
    """A note in a graph. `label` is its title, else its name."""

    path: str
    label: str


@dataclass(frozen=True)
class Graph:
    """Notes and the links between them. `left_out` more notes were come upon, or would have been."""

    vertices: tuple[Vertex, ...]
    links: tuple[Link, ...]
    left_out: int
    more: bool
    """Whether there may be still more."""

    @property
    def remark(self) -> str:
        """What is not shown; empty where that is nothing."""
        if not (self.left_out or self.more):
            return ""
        return f"{self.left_out:,}{' or more' if self.more else ''} linked notes are not shown"


def graph(
    session: Session,
    path: str = "/memory",
    depth: int = 2,
    limit: int = LIMIT,
    step: Callable[[int], None] | None = None,
) -> Graph:
    """A note, or the linked notes below a directory, and what is at most `depth` links away, in either direction.

    At most `limit` notes, the nearest. `step` is called with the number of notes looked at since it was last called.
    Raises NotFound, Invalid.
    """
    if depth < 0 or limit < 1:
        raise Invalid("a graph has a depth of 0 or more and a limit of 1 or more")
    top = session.require_stored(path, Operation.STAT)
    shown: dict[str, Found] = {}
    left_out: set[str] = set()
    links: dict[str, list[Link]] = {}
    more = False
    for found in _starts(session, top):
        if step is not None:
            step(1)
        near = session.neighbours(found)
        if not near and found.path != top.path:
            continue
        if len(shown) == limit:
            left_out.add(found.path)
            more = True
            break
        shown[found.path] = found
        links[found.path] = near
    edge = list(shown)
    for _ in range(depth):
        following: list[str] = []
        for source in edge:
            for other in _others(links[source], source):
                if other in shown:
                    continue
                found_other = None if len(shown) == limit else _readable(session, other)
                if found_other is None:
                    left_out.add(other)
                    continue
                shown[other] = found_other
                links[other] = session.neighbours(found_other)
                following.append(other)
        edge = following
    drawn = {link for near in links.values() for link in near if {link.source, link.target} <= shown.keys()}
    return Graph(
        tuple(Vertex(each, _label(found)) for each, found in shown.items()),
        tuple(sorted(drawn)),
        len(left_out - shown.keys()),
        more,
    )


def _starts(session: Session, top: Found) -> Iterator[Found]:
    assert top.stat is not None
    if not top.stat.is_directory:
        session.judge.check(Operation.READ, top)
        yield top
        return
    for found in session.walk(top.path):
        if found.stat is not None and found.stat.kind is Kind.FILE:
            yield found


def _others(links: list[Link], path: str) -> Iterator[str]:
    for link in links:
        yield link.target if link.source == path else link.source


def _readable(session: Session, path: str) -> Found | None:
    try:
        return session.require_stored(path, Operation.READ)
    except NotFound:
        return None  # moved or removed since


def _label(found: Found) -> str:
    label = (title_of(found.meta_json) or "").strip()
    label = on_one_line(label or split(found.path)[1])
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


# --- formats -------------------------------------------------------------------------------------


def drawn(graph: Graph, format: Format) -> str:
    """A graph in a format. Raises Invalid for an unknown one."""
    if format not in _WRITERS:
        raise Invalid(f"a format is one of {', '.join(_WRITERS)}, not {format!r}")
    return _WRITERS[format](graph)


def _mermaid(graph: Graph) -> str:
    number = _numbers(graph)
    lines = ["flowchart LR"]
    lines += [f'  {number[each.path]}["{_in_mermaid(each.label)}"]' for each in graph.vertices]
    for link in graph.links:
        line = "---" if link.kind in SYMMETRIC_LINKS else "-->"
        ends = number[link.source], number[link.target]
        lines.append(f'  {ends[0]} {line}|"{_in_mermaid(link.kind)}"| {ends[1]}')
    if graph.remark:
        lines.append(f"  %% {graph.remark}")
    return "\n".join(lines) + "\n"


def _in_mermaid(text: str) -> str:
    """Everything but letters, digits and what is plain as an entity, which Mermaid writes `#35;`."""
    return "".join(each if each.isalnum() or each in _PLAIN else f"#{ord(each)};" for each in text)


def _dot(graph: Graph) -> str:
    number = _numbers(graph)
    lines = ["digraph memory {", '  graph [rankdir="LR", charset="UTF-8"];', '  node [shape="box"];']
    lines += [
        f"  {number[each.path]} [label={_in_dot(each.label)}, tooltip={_in_dot(on_one_line(each.path))}];"
        for each in graph.vertices
    ]
    for link in graph.links:
        direction = ', dir="none"' if link.kind in SYMMETRIC_LINKS else ""
        ends = f"{number[link.source]} -> {number[link.target]}"
        lines.append(f"  {ends} [label={_in_dot(link.kind)}{direction}];")
    if graph.remark:
        lines.append(f"  // {graph.remark}")
    return "\n".join([*lines, "}"]) + "\n"


def _in_dot(text: str) -> str:
    """A quoted string: nothing in it but quotes and backslashes means anything, and entities where it is drawn."""
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def as_json(graph: Graph) -> dict[str, object]:
    """A graph as JSON values."""
    return {
        "notes": [each._asdict() for each in graph.vertices],
        "links": [each._asdict() for each in graph.links],
        "left_out": graph.left_out,
        "more": graph.more,
    }


def _json(graph: Graph) -> str:
    return json.dumps(as_json(graph), ensure_ascii=False, indent=2) + "\n"


def _numbers(graph: Graph) -> dict[str, str]:
    return {each.path: f"n{number}" for number, each in enumerate(graph.vertices)}


_WRITERS: dict[str, Callable[[Graph], str]] = {"mermaid": _mermaid, "dot": _dot, "json": _json}
