"""YAML text -> plain JSON values that know their lines.

The document is built from the parser's events, not by `yaml.load`: so every key has a line, duplicate keys
are seen, aliases cannot grow without bound, and deep nesting cannot overflow the stack (composing 100,000
brackets with PyYAML's C loader kills the process). Values are what `yaml.safe_load` gives, except that
dates stay text, because a configuration is JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from vfs_core.errors import ConfigError, Problem
from vfs_core.types import JSON

MAX_BYTES = 16 * 1024 * 1024
"""The size of a file; 10,000 providers need one."""
MAX_DEPTH = 64
"""How deep lists and mappings may be nested."""
MAX_ALIASED = 100_000
"""How many values may stand behind all aliases together (the "billion laughs" are 3 ** 20 and more)."""

Keys: TypeAlias = "Sequence[str | int]"
"""Where a value is in the document: keys of mappings and positions in lists."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number"}
_MERGE = object()
_NO_KEY = object()
_BAD_KEY = object()


class Place(NamedTuple):
    """The line of a value (of its key, in a mapping), from 1, and the places of what it contains."""

    line: int
    children: dict[str, Place] | list[Place] | None = None


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, the lines of everything in it, and what is wrong with it as YAML."""

    name: str
    value: JSON
    root: Place
    problems: tuple[Problem, ...] = ()

    def where(self, keys: Keys) -> str:
        """`file:line` of the value, or of the nearest above it that exists."""
        place = self.root
        for key in keys:
            if isinstance(place.children, dict) and key in place.children:
                place = place.children[str(key)]
            elif isinstance(place.children, list) and isinstance(key, int) and key < len(place.children):
                place = place.children[key]
            else:
                break
        return f"{self.name}:{place.line}"

    def problem(self, keys: Keys, what: str, cure: str = "") -> Problem:
        """A problem at that place."""
        return Problem(self.where(keys), dotted(keys), what, cure)


def dotted(keys: Keys) -> str:
    """`providers[3].config.url`; keys that are not plain words are quoted."""
    text = ""
    for key in keys[:12]:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            plain = key.replace("-", "_").isidentifier()
            text += ("." if text else "") + (key if plain else repr(_short(key)))
    return text + ("..." if len(keys) > 12 else "")


def parse_document(data: bytes, name: str) -> Document:
    """Parse the bytes of a file called `name`. An empty one has the value None.

    Raises ConfigError for what cannot be read on: bad UTF-8, a syntax error, a limit exceeded. What
    is wrong otherwise (duplicate keys, unknown tags) is in `problems`.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(name, "", f"the file is over {MAX_BYTES >> 20} MiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"the file is not UTF-8: byte {error.object[error.start]:#04x}"
        raise ConfigError([Problem(f"{name}:{line}", "", what, "save it as UTF-8")]) from None
    return _Builder(name, text).build()


class _Frame:
    """A list or mapping that is being read; `value` and `children` are both lists or both mappings."""

    __slots__ = ("anchor", "children", "is_mapping", "key", "key_line", "line", "merged", "size", "value")

    def __init__(self, is_mapping: bool, line: int, anchor: str | None) -> None:
        self.is_mapping = is_mapping
        self.value: Any = {} if is_mapping else []
        self.children: Any = {} if is_mapping else []
        self.line = line
        self.anchor = anchor
        self.key: object = _NO_KEY
        self.key_line = line
        self.merged: list[tuple[JSON, Place]] = []
        self.size = 1


class _Builder:
    """One pass over the parser's events."""

    def __init__(self, name: str, text: str) -> None:
        import yaml

        self._yaml = yaml
        self._name = name
        self._text = text
        self._loader: Any = None
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[JSON, Place, int]] = {}
        self._aliased = 0
        self._problems: list[Problem] = []
        self._result: tuple[JSON, Place] | None = None

    def build(self) -> Document:
        for event in self._events():
            self._take(event)
        value, root = self._result or (None, Place(1))
        return Document(self._name, value, root, tuple(self._problems))

    def _events(self) -> Iterator[Any]:
        loader_class = getattr(self._yaml, "CSafeLoader", self._yaml.SafeLoader)
        line = 1
        try:
            self._loader = loader_class(self._text)
            while True:
                event = self._loader.get_event()
                if isinstance(event, self._yaml.StreamEndEvent):
                    return
                line = event.start_mark.line + 1
                yield event
        except self._yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else line
            what = ", ".join(part for part in (error.context, error.problem) if part)
            raise self._fatal(line, f"this is not valid YAML: {what}") from None
        except self._yaml.reader.ReaderError as error:
            line = self._text.count("\n", 0, error.position) + 1
            raise self._fatal(line, "a control character is not allowed in YAML", "remove it") from None
        except (self._yaml.YAMLError, ValueError, OverflowError) as error:
            # The parser in Python lets chr() and int() fail on hostile escapes and versions.
            raise self._fatal(line, f"this is not valid YAML: {error}") from None
        finally:
            if self._loader is not None:
                self._loader.dispose()

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, self._yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, self._yaml.AliasEvent):
            self._alias(str(event.anchor), line)
        elif isinstance(event, (self._yaml.MappingStartEvent, self._yaml.SequenceStartEvent)):
            mapping = isinstance(event, self._yaml.MappingStartEvent)
            if event.tag not in (None, "!", _TAG + ("map" if mapping else "seq")):
                self._problem(line, f"the tag {_short(event.tag)} is not supported", "remove it")
            if len(self._stack) >= MAX_DEPTH:
                raise self._fatal(line, f"lists and mappings are nested over {MAX_DEPTH} deep")
            self._stack.append(_Frame(mapping, line, event.anchor))
        elif isinstance(event, (self._yaml.MappingEndEvent, self._yaml.SequenceEndEvent)):
            self._close(self._stack.pop())
        elif isinstance(event, self._yaml.DocumentStartEvent) and self._result is not None:
            raise self._fatal(line, "the file holds more than one YAML document", "remove the `---`")

    def _scalar(self, event: Any, line: int) -> None:
        if event.tag in (None, "!"):
            tag = self._loader.resolve(self._yaml.ScalarNode, event.value, event.implicit)
        else:
            tag = event.tag
        value = self._construct(tag, event, line)
        frame = self._stack[-1] if self._stack else None
        if value is _MERGE and not (frame is not None and frame.is_mapping and frame.key is _NO_KEY):
            value = event.value
        if event.anchor is not None:
            self._anchors[event.anchor] = (event.value if value is _MERGE else value, Place(line), 1)
        self._add(value, Place(line), 1)

    def _construct(self, tag: str, event: Any, line: int) -> JSON:
        kind = tag.removeprefix(_TAG)
        text: str = event.value
        if kind in ("str", "timestamp", "value"):
            return text
        if kind == "merge":
            return _MERGE
        if kind == "null":
            return None
        if kind not in _KINDS:
            self._problem(line, f"the tag {_short(tag)} is not supported", "remove it")
            return text
        node = self._yaml.ScalarNode(tag, text, event.start_mark, event.end_mark)
        try:
            value = getattr(self._loader, f"construct_yaml_{kind}")(node)
        except (ValueError, LookupError, OverflowError):
            self._problem(line, f"{_short(text)!r} is not {_KINDS[kind]}", "quote it if it is text")
            return text
        if isinstance(value, float) and not math.isfinite(value):
            self._problem(line, f"{_short(text)!r} is not a finite number", "write a number")
            return 0.0
        return value

    def _alias(self, anchor: str, line: int) -> None:
        known = self._anchors.get(anchor)
        if known is None:
            if any(frame.anchor == anchor for frame in self._stack):
                raise self._fatal(line, f"the alias *{_short(anchor)} stands inside what it names")
            raise self._fatal(line, f"there is no anchor &{_short(anchor)} above this alias")
        value, place, size = known
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise self._fatal(line, f"the aliases up to here stand for over {MAX_ALIASED} values")
        self._add(value, Place(line, place.children), size)

    def _add(self, value: JSON, place: Place, size: int) -> None:
        if not self._stack:
            self._result = (value, place)
            return
        frame = self._stack[-1]
        frame.size += size
        if not frame.is_mapping:
            frame.value.append(value)
            frame.children.append(place)
        elif frame.key is _NO_KEY:
            self._set_key(frame, value, place.line)
        else:
            self._set_value(frame, value, place)
            frame.key = _NO_KEY

    def _set_key(self, frame: _Frame, key: JSON, line: int) -> None:
        frame.key, frame.key_line = key, line
        if key is _MERGE:
            return
        if not isinstance(key, str):
            self._problem(line, f"the key {_described(key)} is not text", "quote it")
            frame.key = _BAD_KEY
        elif key in frame.children:
            first = frame.children[key].line
            what = f"the key {_short(key)!r} is given twice, on lines {first} and {line}"
            self._problem(line, what, "keep one of the two")
            frame.key = _BAD_KEY

    def _set_value(self, frame: _Frame, value: JSON, place: Place) -> None:
        if frame.key is _MERGE:
            sources = value if isinstance(value, list) else [value]
            places = place.children if isinstance(place.children, list) else [place]
            if not all(isinstance(source, dict) for source in sources):
                self._problem(frame.key_line, "`<<` takes a mapping, or a list of them", "name one: *anchor")
                return
            frame.merged.extend(zip(sources, places, strict=True))
        elif isinstance(frame.key, str):
            frame.value[frame.key] = value
            frame.children[frame.key] = Place(frame.key_line, place.children)

    def _close(self, frame: _Frame) -> None:
        for value, place in frame.merged:
            for key in value:
                if key not in frame.value and isinstance(place.children, dict):
                    frame.value[key] = value[key]
                    frame.children[key] = place.children[key]
        place = Place(frame.line, frame.children)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.value, place, frame.size)
        self._add(frame.value, place, frame.size)

    def _keys(self) -> list[str | int]:
        keys: list[str | int] = []
        for frame in self._stack:
            if not frame.is_mapping:
                keys.append(len(frame.value))
            elif isinstance(frame.key, str):
                keys.append(frame.key)
        return keys

    def _problem(self, line: int, what: str, cure: str = "") -> None:
        self._problems.append(Problem(f"{self._name}:{line}", dotted(self._keys()), what, cure))

    def _fatal(self, line: int, what: str, cure: str = "") -> ConfigError:
        last = Problem(f"{self._name}:{line}", dotted(self._keys()), what, cure)
        return ConfigError([*self._problems, last])


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."


def _described(value: JSON) -> str:
    if isinstance(value, dict):
        return "that is a mapping"
    if isinstance(value, list):
        return "that is a list"
    return f"{value!r}"
