"""The signatures in a file: its functions, classes, methods and types, from the parser of its language.

A tree-sitter parser gives a tree for any text, with nodes of the type ERROR where it is wrong; what is around them is
found all the same. Bodies of functions are not looked into.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, NamedTuple

from avm_handlers.indexing.languages import Language
from vfs_core.errors import MissingExtra

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

REQUIRES = "pip install 'avm[index]'"
_LONGEST = 300
_BRACED = {"struct_type": "struct", "interface_type": "interface"}
"""Types of Go, with the word that they begin with."""
_CLOSED = ("function", "method", "macro")
_UNNAMED = ("arrow_function", "function_expression", "generator_function", "class")
_METHOD_SCOPES = ("class", "interface", "trait", "impl")


class Signature(NamedTuple):
    """One definition: its line (from 1), its kind, its name with what it belongs to, and its head as written."""

    line: int
    kind: str
    name: str
    text: str


class _Scope(NamedTuple):
    name: str
    kind: str


def signatures(language: Language, source: bytes) -> list[Signature]:
    """What a file defines, in the order of its lines. Raises MissingExtra."""
    found: list[tuple[int, Signature]] = []
    waiting: list[tuple[Node, _Scope]] = [(_parser(language).parse(source).root_node, _OUTSIDE)]
    while waiting:
        node, scope = waiting.pop()
        kind, name, owner = _definition(language, node)
        if kind == "function" and scope.kind in _METHOD_SCOPES:
            kind = "method"
        if name is not None:
            named = _in_scope(_receiver(node) or scope, name)
            signature = Signature(name.start_point[0] + 1, kind, named, _head(kind, node, owner))
            found.append((node.start_byte, signature))
            below = _body(owner) if kind not in _CLOSED else None
            waiting.extend((child, _Scope(named, kind)) for child in (below.named_children if below else ()))
        elif node.type in language.through:
            if node.type == "impl_item":
                scope = _Scope(_bare_type(node.child_by_field_name("type")), "impl")
            waiting.extend((child, scope) for child in node.named_children)
    return [signature for _, signature in sorted(found)]


def _definition(language: Language, node: Node) -> tuple[str, Node | None, Node]:
    """The kind of what a node defines, the node that names it (None: it defines nothing), and that with the body."""
    if node.type in language.definitions:
        name = node.child_by_field_name("name") or node.child_by_field_name("left")
        return language.definitions[node.type], name, node
    if node.type in language.holders:
        name_field, value_field = language.holders[node.type]
        value = node.child_by_field_name(value_field)
        if value is not None and value.type in language.values:
            return (
                language.values[value.type],
                node.child_by_field_name(name_field) if name_field else value,
                value,
            )
    return "", None, node


def _in_scope(scope: _Scope, name: Node) -> str:
    own = "default" if name.type in _UNNAMED else _text(name)
    if name.type == "type":
        own = own.partition("[")[0]  # an alias of Python, with its parameters
    return f"{scope.name}.{own}"[:_LONGEST] if scope.name else own


def _receiver(node: Node) -> _Scope | None:
    """The type that a method of Go belongs to."""
    waiting = [receiver] if (receiver := node.child_by_field_name("receiver")) else []
    while waiting:
        each = waiting.pop()
        if each.type == "type_identifier":
            return _Scope(_text(each), "type")
        waiting.extend(reversed(each.named_children))
    return None


def _bare_type(node: Node | None) -> str:
    """A type without its arguments: `Foo` for `Foo<T>`."""
    while node is not None and node.type in ("generic_type", "reference_type"):
        node = node.child_by_field_name("type")
    return "" if node is None else _text(node)


def _body(node: Node) -> Node | None:
    """What a definition encloses; a tuple of fields belongs to its head."""
    body = node.child_by_field_name("body")
    if body is None and node.type == "type_spec":
        kind = node.child_by_field_name("type")
        body = kind if kind is not None and kind.type in _BRACED else None
    return None if body is None or body.type == "ordered_field_declaration_list" else body


def _head(kind: str, node: Node, owner: Node) -> str:
    """What stands before the body, and before a comment on it, on one line."""
    body = following = _body(owner)
    while following is not None and (before := following.prev_sibling) and before.type.endswith("comment"):
        following = before
    source = node.text or b""
    start = next((each.start_byte for each in node.children if each.type != "decorator"), node.start_byte)
    end = node.end_byte if following is None else following.start_byte
    if kind == "macro":
        end = node.named_children[0].end_byte
    text = source[start - node.start_byte : end - node.start_byte].decode("utf-8", "replace")
    if body is not None and body.type in _BRACED:
        text += _BRACED[body.type]
    return " ".join(text.split()).rstrip(" {:;")[:_LONGEST]


def _text(node: Node) -> str:
    return " ".join((node.text or b"").decode("utf-8", "replace").split())[:_LONGEST]


_OUTSIDE = _Scope("", "")
_local = threading.local()


def _parser(language: Language) -> Parser:
    """The parser of a language; each thread has its own, since one parses one text at a time."""
    parsers: dict[str, Parser] = _local.__dict__.setdefault("parsers", {})
    key = language.package + language.function
    if key not in parsers:
        parsers[key] = _made(language.package, language.function)
    return parsers[key]


def _made(package: str, function: str) -> Parser:
    try:
        from tree_sitter import Language as Grammar
        from tree_sitter import Parser

        return Parser(Grammar(getattr(importlib.import_module(package), function)()))
    except ImportError as error:
        raise MissingExtra(
            f"the index needs {error.name or package}, which is not installed; type: {REQUIRES}"
        ) from error
