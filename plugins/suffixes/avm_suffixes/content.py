"""`:data`, `:path` and `:info`: the content, where it is, and what else there is."""

from __future__ import annotations

from collections.abc import Iterator

from vfs_core.errors import PluginError
from vfs_core.rendering import content_json
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON


class Data(BaseSuffix):
    """The raw content, for reading and writing."""

    write_operation = Operation.WRITE
    on_directories = False

    def read(self, context: SuffixContext) -> bytes:
        """The content, byte for byte."""
        return context.node().data

    def read_json(self, context: SuffixContext) -> JSON:
        """`content` if it is UTF-8, else `base64`."""
        return content_json(context.node().data)

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Replace the content."""
        context.session.write(context.path, data)


class Path(BaseSuffix):
    """The path of the node, absolute."""

    read_operation = Operation.STAT

    def read(self, context: SuffixContext) -> str:
        """One line."""
        return f"{context.path}\n"

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return {"path": context.path}


class Info(BaseSuffix):
    """The suffixes that this node has, with a line on each."""

    read_operation = Operation.STAT

    def read(self, context: SuffixContext) -> str:
        """A line for each suffix: name, `r` or `rw`, summary, separated by tabs; `-` and why for one that is broken."""
        return "".join(f":{name}\t{access}\t{summary}\n" for name, access, summary in _suffixes(context))

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [
            {"name": name, "access": access, "summary": summary}
            for name, access, summary in _suffixes(context)
        ]


def _suffixes(context: SuffixContext) -> Iterator[tuple[str, str, str]]:
    kernel = context.session.kernel
    directory = context.stat().is_directory
    provided = context.session.is_provided(context.path)
    for name, spec in sorted(kernel.registry.suffixes().items()):
        try:
            suffix = kernel.suffix(name)
        except PluginError as error:
            yield name, "-", str(error)
            continue
        if provided and suffix.needs_store:
            continue
        if suffix.on_directories if directory else suffix.on_files:
            yield name, "r" if suffix.write_operation is None else "rw", spec.summary
