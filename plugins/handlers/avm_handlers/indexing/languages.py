"""What defines something in each language, as the nodes of its tree-sitter grammar; data, and no parsing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Language:
    """A grammar, and where definitions are in its trees.

    `package` and `function` name the grammar in its wheel. `definitions` gives the kind of each node that defines
    something; `through` the nodes that are looked into, beside the bodies of definitions that are no functions.
    In `holders` a name is given to a value (node -> fields of name and value; no name: `default`), which defines
    something where it is one of `values`.
    """

    name: str
    package: str
    function: str
    definitions: Mapping[str, str]
    through: frozenset[str]
    holders: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


PYTHON = Language(
    "python",
    "tree_sitter_python",
    "language",
    {"function_definition": "function", "class_definition": "class", "type_alias_statement": "type"},
    frozenset(
        {
            "module",
            "block",
            "decorated_definition",
            "if_statement",
            "elif_clause",
            "else_clause",
            "try_statement",
            "except_clause",
            "finally_clause",
            "with_statement",
            "ERROR",
        }
    ),
)

_JAVASCRIPT = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "method_definition": "method",
}
_JAVASCRIPT_THROUGH = frozenset(
    {
        "program",
        "export_statement",
        "lexical_declaration",
        "variable_declaration",
        "expression_statement",
        "assignment_expression",
        "object",
        "ERROR",
    }
)
_HOLDERS = {
    "variable_declarator": ("name", "value"),
    "assignment_expression": ("left", "right"),
    "field_definition": ("property", "value"),
    "public_field_definition": ("name", "value"),
    "pair": ("key", "value"),
    "export_statement": ("", "value"),
}
_VALUES = {
    "arrow_function": "function",
    "function_expression": "function",
    "generator_function": "function",
    "class": "class",
}
JAVASCRIPT = Language(
    "javascript",
    "tree_sitter_javascript",
    "language",
    _JAVASCRIPT,
    _JAVASCRIPT_THROUGH,
    _HOLDERS,
    _VALUES,
)

_TYPESCRIPT = {
    **_JAVASCRIPT,
    "abstract_class_declaration": "class",
    "interface_declaration": "interface",
    "type_alias_declaration": "type",
    "enum_declaration": "enum",
    "function_signature": "function",
    "method_signature": "method",
    "abstract_method_signature": "method",
    "internal_module": "namespace",
    "module": "namespace",
}
_TYPESCRIPT_THROUGH = _JAVASCRIPT_THROUGH | {"ambient_declaration"}


def _typescript(function: str) -> Language:
    package = "tree_sitter_typescript"
    return Language("typescript", package, function, _TYPESCRIPT, _TYPESCRIPT_THROUGH, _HOLDERS, _VALUES)


TYPESCRIPT, TSX = _typescript("language_typescript"), _typescript("language_tsx")

GO = Language(
    "go",
    "tree_sitter_go",
    "language",
    {
        "function_declaration": "function",
        "method_declaration": "method",
        "type_spec": "type",
        "type_alias": "type",
        "method_elem": "method",
    },
    frozenset({"source_file", "type_declaration", "ERROR"}),
)

RUST = Language(
    "rust",
    "tree_sitter_rust",
    "language",
    {
        "function_item": "function",
        "function_signature_item": "function",
        "struct_item": "struct",
        "enum_item": "enum",
        "union_item": "union",
        "trait_item": "trait",
        "type_item": "type",
        "associated_type": "type",
        "mod_item": "module",
        "macro_definition": "macro",
    },
    frozenset({"source_file", "declaration_list", "impl_item", "foreign_mod_item", "ERROR"}),
)

_BY_ENDING = {
    ".py": PYTHON,
    ".pyi": PYTHON,
    ".js": JAVASCRIPT,
    ".jsx": JAVASCRIPT,
    ".mjs": JAVASCRIPT,
    ".cjs": JAVASCRIPT,
    ".ts": TYPESCRIPT,
    ".mts": TYPESCRIPT,
    ".cts": TYPESCRIPT,
    ".tsx": TSX,
    ".go": GO,
    ".rs": RUST,
}


def language_of(path: str) -> Language | None:
    """The language of a file by its ending, or None."""
    return _BY_ENDING.get(PurePosixPath(path).suffix.lower())
