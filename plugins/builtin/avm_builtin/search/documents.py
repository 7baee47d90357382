"""What of a node is indexed: its name and title, its body, its tags. The same for every backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

from avm_builtin.search.contents import text_of
from avm_builtin.search.text import MAX_TEXT, tokens
from vfs_core.meta import tags_of, title_of
from vfs_core.path import split
from vfs_core.storage import Found
from vfs_core.types import Kind

_TITLE_WEIGHT, _TAGS_WEIGHT = 3, 2
"""How often each word of name and title, and of the tags, counts: who names or tags a note says what it is about."""


class Document(NamedTuple):
    """One name of a file as it is indexed: its words, tokens as often as they weigh, and the tags as they are.

    In `labels` each tag stands between line ends, which no tag contains. `length` counts the tokens of the body,
    `size` all of `words`.
    """

    words: str
    labels: str
    length: int
    size: int


def is_file(found: Found) -> bool:
    """Whether a name is indexed at all."""
    return found.stat is not None and found.stat.kind is Kind.FILE


def stamp(found: Found) -> int:
    """A number that changes with all of a document that is not its name: content and metadata."""
    version = found.stat.version if found.stat is not None else 0
    return version << 32 | crc32(found.meta_json.encode())


def document(found: Found, body: str) -> Document:
    """The document of one name. `body` is `body_tokens` of the content, made once for all names of a node."""
    told = title_of(found.meta_json)
    titles = [split(found.path)[1], *([] if told is None else [told])]
    tags = tags_of(found.meta_json)
    title, labels = _joined(titles), _joined(tags)
    length = _count(body)
    return Document(
        " ".join((*[title] * _TITLE_WEIGHT, body, *[labels] * _TAGS_WEIGHT)),
        "".join(f"\n{tag}\n" for tag in tags),
        length,
        _TITLE_WEIGHT * _count(title) + length + _TAGS_WEIGHT * _count(labels),
    )


def body_tokens(data: bytes) -> str:
    """The tokens of a content's first MAX_TEXT bytes, or none where that is not UTF-8."""
    return tokens(text_of(data, MAX_TEXT))


def _count(words: str) -> int:
    return words.count(" ") + 1 if words else 0


def _joined(texts: Iterable[str]) -> str:
    return " ".join(map(tokens, texts))
