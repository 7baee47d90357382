"""The tools. Their descriptions are what a model decides by: when to use them, and when not."""

from __future__ import annotations

from collections.abc import Iterable

from avm_builtin.frontends.mcp.tool import FULL, Arguments, Tool
from avm_builtin.memory import navigation, tokens
from avm_builtin.memory.agent import AgentMemory
from vfs_core.errors import Invalid
from vfs_core.rendering import one_line
from vfs_core.session import Session
from vfs_core.types import JSON

BUDGET = 2000
"""Tokens that an answer takes at most, where its tool does not say otherwise."""
_MOST = 20_000
"""Tokens that may be asked for: clients cut what is longer than 25,000."""


def _text(description: str = "") -> dict[str, JSON]:
    return {"type": "string", "description": description} if description else {"type": "string"}


def _number(most: int, default: int, least: int = 1) -> dict[str, JSON]:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


# --- memory --------------------------------------------------------------------------------------


def _recall(session: Session, arguments: Arguments) -> str:
    return AgentMemory(session).recall(
        arguments["query"], arguments.get("max_tokens", BUDGET), scope=arguments.get("under")
    )


def _remember(session: Session, arguments: Arguments) -> str:
    namespace = None if arguments.get("private", False) else "shared"
    made = AgentMemory(session).remember(
        arguments["content"], arguments.get("title"), arguments.get("importance", 0.5), arguments.get("tags", ()),
        namespace, supersedes=arguments.get("supersedes"),
    )  # fmt: skip
    lines = [f"{'Stored' if made.stored else 'There already'}: {made.path}"]
    lines += [
        f"Resembles {each.path} ({each.similarity:.2f}): pass it as `supersedes` if this replaces it."
        for each in made.similar
    ]
    if made.redacted:
        lines.append(f"Left out, as secrets: {', '.join(made.redacted)}")
    return "\n".join(lines) + "\n"


def _browse(session: Session, arguments: Arguments) -> str:
    if "query" not in arguments:
        tree = str(navigation.tree(session, arguments.get("path", "/memory"), 2))
        return _within(tree.splitlines(), "a deeper path")
    found = navigation.browse(
        session, arguments["query"], arguments.get("limit", 20), arguments.get("path", "/")
    )
    lines = [_found(each.score, each.path, each.summary) for each in found]
    return _within(lines, "a lower limit") or "Nothing found.\n"


def _fetch(session: Session, arguments: Arguments) -> str:
    return AgentMemory(session).fetch(arguments["paths"], arguments.get("max_tokens", 2 * BUDGET))


# --- finding and reading -------------------------------------------------------------------------


def _search(session: Session, arguments: Arguments) -> str:
    mode = arguments.get("mode", "hybrid")
    hits = session.search(
        arguments["query"], arguments.get("limit", 10), mode, under=arguments.get("under", "/")
    )
    lines = [_found(hit.score, hit.path, hit.snippet) for hit in hits]
    return _within(lines, "a lower limit") or "Nothing found.\n"


def _list(session: Session, arguments: Arguments) -> str:
    limit, after = arguments.get("limit", 100), arguments.get("after", "")
    entries = session.list(arguments.get("path", "/memory"), limit=limit + 1, after=after)
    lines, room, last = list[str](), BUDGET - 100, ""
    for entry in entries[:limit]:
        line = one_line(entry.name) + ("/" if entry.is_directory else "")
        room -= tokens.count(line) + 1
        if room < 0:
            break
        lines.append(line)
        last = entry.name
    if len(lines) < len(entries):
        lines.append(f"(there are more; go on with after={last!r})")
    return "\n".join(lines) + "\n" if lines else "Empty.\n"


def _read(session: Session, arguments: Arguments) -> str:
    node = session.read(arguments["path"])
    try:
        text = node.data.decode()
    except UnicodeDecodeError:
        raise Invalid(f"{node.path} is no text ({len(node.data):,} bytes)") from None
    offset, budget = arguments.get("offset", 0), arguments.get("max_tokens", 2 * BUDGET)
    rest = text[offset:]
    shown = tokens.cut(rest, budget)
    if len(shown) < len(rest):
        return f"{shown}\n(cut: {len(text):,} characters in all; go on with offset={offset + len(shown)})\n"
    return shown


def _tags(session: Session, arguments: Arguments) -> str:
    lines = [f"{one_line(tag)}: {count}" for tag, count in session.tag_counts().items()]
    return _within(lines, "avm_search for one of them") or "No tags yet.\n"


def _recent(session: Session, arguments: Arguments) -> str:
    limit = arguments.get("limit", 10)
    found = (
        navigation.timeline(session, arguments["days"], limit)
        if "days" in arguments
        else navigation.recent(session, limit)
    )
    return _within(str(found).splitlines(), "a lower limit")


def _stats(session: Session, arguments: Arguments) -> str:
    found = session.stats()
    behind = f", {found.behind:,} changes not searchable yet" if found.behind else ""
    return (
        f"agent: {found.agent}\nnotes: {found.notes:,} ({found.private:,} private)\ntags: {found.tags:,}\n"
        f"embedded: {found.embedded:,} of {found.embeddable:,}{behind}\nwritable: {'yes' if found.writable else 'no'}\n"
    )


# --- changing ------------------------------------------------------------------------------------


def _write(session: Session, arguments: Arguments) -> str:
    path = arguments["path"]
    if arguments.get("append", False):
        version = session.append(path, arguments["content"])
    else:
        version = session.write(path, arguments["content"], base_version=arguments.get("base_version"))
    return f"Written: {version.path}, version {version.version}\n"


def _move(session: Session, arguments: Arguments) -> str:
    session.rename(arguments["source"], arguments["target"])
    return f"Moved to {arguments['target']}\n"


def _delete(session: Session, arguments: Arguments) -> str:
    count = session.delete(arguments["path"], recursive=arguments.get("recursive", False))
    return f"Deleted: {count} (`avm restore` brings it back)\n"


def _link(session: Session, arguments: Arguments) -> str:
    session.link(arguments["source"], arguments["target"], arguments.get("kind", "related"))
    return f"Linked: {arguments['source']} -> {arguments['target']}\n"


def _found(score: float, path: str, text: str) -> str:
    """Two lines: how sure a find is and where, and what is there."""
    return f"[{score:.2f}] {one_line(path)}\n    {one_line(text)}"


def _within(lines: Iterable[str], instead: str) -> str:
    """As many of the lines as an answer may have, and how many more there are."""
    kept, room = list[str](), BUDGET - 30
    waiting = list(lines)
    for number, line in enumerate(waiting):
        room -= tokens.count(line) + 1
        if room < 0:
            return "\n".join(kept) + f"\n({len(waiting) - number} more left out; ask with {instead})\n"
        kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""


TOOLS = (
    Tool(
        "avm_recall", "Recall",
        "What is known about a subject, from all past sessions and agents, within a token budget. Use before you start "
        "a task or ask the user what they may have said before.",
        _recall,
        {"query": _text("in your own words"), "max_tokens": _number(_MOST, BUDGET, 50), "under": _text("a directory")},
        ("query",), idempotent=True,
    ),
    Tool(
        "avm_remember", "Remember",
        "Store a fact, decision, preference or lesson that a later session will need; one thing a call, in a full "
        "sentence. Not for what the code or its history says already.",
        _remember,
        {
            "content": _text(), "title": _text(), "tags": {"type": "array", "items": _text()},
            "importance": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
            "private": {"type": "boolean", "default": False, "description": "hide from other agents"},
            "supersedes": _text("path of the note that this replaces"),
        },
        ("content",), reads=False, idempotent=True,
    ),
    Tool(
        "avm_browse", "Browse",
        "Paths with one-line summaries: of what matches a query, else the tree below a path. Then avm_fetch what is "
        "worth it: cheaper than avm_recall where much matches.",
        _browse, {"query": _text(), "path": _text(), "limit": _number(100, 20)}, idempotent=True,
    ),
    Tool(
        "avm_fetch", "Fetch", "The content of several notes within a token budget.",
        _fetch,
        {
            "paths": {"type": "array", "items": _text(), "minItems": 1, "maxItems": 50},
            "max_tokens": _number(_MOST, 2 * BUDGET, 50),
        },
        ("paths",), idempotent=True,
    ),
    Tool(
        "avm_search", "Search", "Paths and snippets of notes that match words (lexical), meaning (semantic) or both.",
        _search,
        {
            "query": _text(), "limit": _number(100, 10),
            "mode": {"enum": ["hybrid", "lexical", "semantic"], "default": "hybrid"}, "under": _text("a directory"),
        },
        ("query",), idempotent=True,
    ),
    Tool(
        "avm_list", "List", "The names in a directory.",
        _list, {"path": _text(), "limit": _number(1000, 100), "after": _text("the name to go on after")},
        idempotent=True,
    ),
    Tool(
        "avm_read", "Read",
        "One note by path, @shortcut or virtual node: /memory/x.md:history, :links, :delta (what is new to you).",
        _read,
        {"path": _text(), "offset": _number(10**9, 0, 0), "max_tokens": _number(_MOST, 2 * BUDGET, 50)},
        ("path",), idempotent=True,
    ),
    Tool(
        "avm_write", "Write",
        "Replace or append to a note at a path you choose, for documents that agents keep up together. With "
        "base_version a change by somebody else is an error, not lost. For single facts use avm_remember.",
        _write,
        {
            "path": _text("such as /memory/shared/plan.md"), "content": _text(),
            "append": {"type": "boolean", "default": False}, "base_version": {"type": "integer", "minimum": 0},
        },
        ("path", "content"), reads=False, destroys=True,
    ),
    Tool("avm_tags", "Tags", "All tags with how many notes have them.", _tags, idempotent=True),
    Tool(
        "avm_recent", "Recent", "What was written last, or in the last days.",
        _recent, {"limit": _number(100, 10), "days": {"type": "number", "exclusiveMinimum": 0, "maximum": 3650}},
        idempotent=True,
    ),
    Tool("avm_stats", "Stats", "What you can see of the memory, in numbers.", _stats, idempotent=True),
    Tool(
        "avm_move", "Move", "Move or rename a note or directory.", _move,
        {"source": _text(), "target": _text()}, ("source", "target"), reads=False, profile=FULL,
    ),
    Tool(
        "avm_delete", "Delete", "Delete a note, or with recursive a directory; it can be restored.", _delete,
        {"path": _text(), "recursive": {"type": "boolean", "default": False}}, ("path",),
        reads=False, destroys=True, profile=FULL,
    ),
    Tool(
        "avm_link", "Link", "Link two notes.", _link,
        {"source": _text(), "target": _text(), "kind": _text("related, citation, derived, ...")}, ("source", "target"),
        reads=False, idempotent=True, profile=FULL,
    ),
)  # fmt: skip
