"""What a text mentions: `[[names]]` and Markdown links, not those in code, and no addresses of the web.

Any text is read in linear time: no pattern here looks further than a fixed number of characters. Not here: what a
mention leads to.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

MOST = 1000
"""Different mentions of one note that count."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BACKTICKS = re.compile(r"`+")
_ESCAPED = re.compile(r"\\[\\`\[\]()]")
_WIKI = re.compile(r"\[\[([^\[\]\n]{1,1000})\]\]")
_INLINE = re.compile(
    r"\]\([ \t]{0,9}(?:<([^<>\n]{1,2000})>|([^\s()<>]{1,2000}(?:\([^\s()<>]{0,200}\)[^\s()<>]{0,200}){0,9}))"
    r"""[ \t\n]{0,9}(?:"[^"]{0,500}"|'[^']{0,500}')?[ \t]{0,9}\)"""
)
_DEFINITION = re.compile(
    r"^ {0,3}\[(?!\^)[^\[\]\n]{1,200}\]:[ \t]{0,9}(?:<([^<>\n]{1,2000})>|(\S{1,2000}))", re.MULTILINE
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}:")
_RESOURCE = "avm://"
"""How MCP names a path."""


class Mention(NamedTuple):
    """What stands in a link: a path as it was written, or a name."""

    text: str
    by_name: bool
    """Whether it is a `[[name]]`, which is looked for, or a Markdown link, which is a path."""


def mentions(text: str) -> list[Mention]:
    """What a text mentions, each once, in order."""
    found: dict[Mention, None] = {}
    for block in _blocks(text):
        if "[" not in block:
            continue
        prose = _ESCAPED.sub("  ", _without_code_spans(block))
        for start, mention in sorted(_in_prose(prose)):
            del start
            found.setdefault(mention)
            if len(found) == MOST:
                return list(found)
    return list(found)


def _in_prose(prose: str) -> Iterator[tuple[int, Mention]]:
    """Mentions with where they begin."""
    for match in _WIKI.finditer(prose):
        target = match[1].partition("|")[0].partition("#")[0].strip()
        if target and not _is_elsewhere(target):
            yield match.start(), Mention(target, True)
    for pattern in (_INLINE, _DEFINITION):
        for match in pattern.finditer(prose):
            target = (match[1] or match[2]).removeprefix(_RESOURCE).partition("#")[0].partition("?")[0]
            target = unquote(target).strip()
            if target and "\0" not in target and not _is_elsewhere(target):
                yield match.start(), Mention(target, False)


def _is_elsewhere(target: str) -> bool:
    """Whether it is an address of something else than a note."""
    return target.startswith("//") or _SCHEME.match(target) is not None


# --- code ----------------------------------------------------------------------------------------


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs: what stands between empty lines, outside of fences."""
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in line[mark.end() :]):
            fence = mark[1]
            yield "\n".join(lines)
            lines = []
        elif line.strip():
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
    yield "\n".join(lines)


def _without_code_spans(block: str) -> str:
    """The paragraph with a space for each code span: what stands between two runs of equally many backticks."""
    if "`" not in block:
        return block
    runs = [match.span() for match in _BACKTICKS.finditer(block)]
    starts: dict[int, list[int]] = defaultdict(list)
    for number, (start, end) in enumerate(runs):
        starts[end - start].append(number)
    kept: list[str] = []
    at = number = 0
    while number < len(runs):
        start, end = runs[number]
        alike = starts[end - start]
        after = bisect_right(alike, number)
        if after == len(alike):  # nothing closes it: it is just backticks
            number += 1
            continue
        kept.append(block[at:start])
        at = runs[alike[after]][1]
        number = alike[after] + 1
    return " ".join([*kept, block[at:]])
