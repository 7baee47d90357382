"""The `index` handler: what the index of a project's code knows, read-only.

    /index/NAME/status           a line for each file that is dirty or missing, and the numbers
    /index/NAME/sigs/src/app.py  what a file defines, a line each
    /index/NAME/status.json, /index/NAME/sigs.json

`avm index scan` makes the indexes; what they are is in `indexing`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping

from avm_handlers.indexing import index_file
from avm_handlers.indexing.index_file import IndexFile
from avm_handlers.indexing.scan import State, status
from avm_handlers.indexing.signatures import Signature
from vfs_core.errors import Invalid, IsADirectory, NotADirectory, NotFound
from vfs_core.handler import BaseHandler, Context
from vfs_core.providers import synthetic_stat
from vfs_core.types import JSON, Kind, Stat

STATUS, SIGNATURES = "status", "sigs"
_FILES = (STATUS, f"{STATUS}.json", f"{SIGNATURES}.json")


class IndexHandler(BaseHandler):
    """Shows the indexes of projects' code: `NAME/status`, and `NAME/sigs/FILE` for what a file defines.

    Functions, classes, methods and types of Python, JavaScript, TypeScript, Go and Rust, with their lines. The same as
    data is in `status.json` and `sigs.json`. `avm index scan NAME PATH` makes an index.
    """

    def read(self, path: str, context: Context) -> str | None:
        """The status or signatures at a path. Raises NotFound, with the indexes that there are."""
        name, _, below = context.relative.partition("/")
        try:
            with index_file.reading(name) as index:
                content = _content(index, below, context)
        except Invalid:  # no name of an index, or a damaged one
            content = None
        if content is None and _names(context.relative) is not None:
            raise IsADirectory(f"{path} is a directory")
        return content

    def list(self, path: str, context: Context) -> Iterable[str]:
        """The projects, what there is of each, and its files."""
        names = _names(context.relative)
        if names is None:
            if self.read(path, context) is not None:
                raise NotADirectory(f"{path} is not a directory")
            raise NotFound.at(path)
        return names

    def stat(self, path: str, context: Context) -> Stat | None:
        """A directory, or a file with the size of what it gives now."""
        if _names(context.relative) is not None:
            return synthetic_stat(Kind.DIRECTORY)
        content = self.read(path, context)
        return None if content is None else synthetic_stat(Kind.FILE, len(content.encode()))


def status_data(states: Iterable[State], root: object) -> dict[str, JSON]:
    """The status of a project as JSON."""
    states = list(states)
    counts = Counter(state.status for state in states)
    return {
        "root": str(root),
        **{each: counts[each] for each in ("clean", "dirty", "missing")},
        "files": [{"path": state.path, "status": state.status} for state in states],
    }


def status_text(data: Mapping[str, JSON]) -> str:
    """The same for a reader: what is not clean, and the numbers."""
    lines = [
        f"{each['status']:<7}  {printable(each['path'])}"
        for each in data["files"]
        if each["status"] != "clean"
    ]
    numbers = ", ".join(f"{data[each]} {each}" for each in ("clean", "dirty", "missing"))
    return "".join(f"{line}\n" for line in (*lines, f"{printable(data['root'])}: {numbers}"))


def signatures_data(found: Mapping[str, Iterable[Signature]]) -> JSON:
    """Signatures as JSON, by file."""
    return {path: [signature._asdict() for signature in each] for path, each in found.items()}


def signature_text(line: int, kind: str, name: str, text: str) -> str:
    """A signature on a line."""
    return printable(f"{line:>6}  {kind:<9}  {name}  {text}")


def printable(text: str) -> str:
    """Text of others without what a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _content(index: IndexFile, below: str, context: Context) -> str | None:
    first, _, file = below.partition("/")
    if first == SIGNATURES and file:
        found = index.signatures(file)
        return None if found is None else "".join(f"{signature_text(*each)}\n" for each in found)
    if below == f"{SIGNATURES}.json":
        return _json(signatures_data(index.all_signatures()))
    if below in (STATUS, f"{STATUS}.json"):
        data = status_data(status(index, context.remaining), index.root())
        return status_text(data) if below == STATUS else _json(data)
    return None


def _names(relative: str) -> list[str] | None:
    """The names in a directory; None if it is none."""
    if not relative:
        return [f"{name}/" for name in index_file.names()]
    name, _, below = relative.partition("/")
    try:
        with index_file.reading(name) as index:
            if not below:
                return [*_FILES, f"{SIGNATURES}/"]
            if below != SIGNATURES and not below.startswith(f"{SIGNATURES}/"):
                return None
            return _children(index, below[len(SIGNATURES) + 1 :])
    except (NotFound, Invalid):
        return None


def _children(index: IndexFile, directory: str) -> list[str] | None:
    prefix = f"{directory}/" if directory else ""
    names = set()
    for path, known in index.files().items():
        if known.language is not None and path.startswith(prefix):
            name, slash, _ = path[len(prefix) :].partition("/")
            names.add(name + slash)
    return sorted(names) if names or not directory else None


def _json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
