"""`:data`, `:path` and `:info`: the content, where it is, and what else there is."""

from __future__ import annotations

from vfs_core.errors import PluginError
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext


class Data(BaseSuffix):
    """The raw content, for reading and writing."""

    write_operation = Operation.WRITE
    on_directories = False

    def read(self, context: SuffixContext) -> bytes:
        """The content, byte for byte."""
        return context.node().data

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Replace the content."""
        context.session.write(context.path, data)


class Path(BaseSuffix):
    """The path of the node, absolute."""

    read_operation = Operation.STAT

    def read(self, context: SuffixContext) -> str:
        """One line."""
        return f"{context.path}\n"


class Info(BaseSuffix):
    """The suffixes that this node has, with a line on each."""

    read_operation = Operation.STAT

    def read(self, context: SuffixContext) -> str:
        """A line for each suffix: name, `r` or `rw`, summary, separated by tabs; `-` and why for one that is broken."""
        kernel = context.session.kernel
        directory = context.stat().is_directory
        lines = []
        for name, spec in sorted(kernel.registry.suffixes().items()):
            try:
                suffix = kernel.suffix(name)
            except PluginError as error:
                lines.append(f":{name}\t-\t{error}\n")
                continue
            if suffix.on_directories if directory else suffix.on_files:
                access = "r" if suffix.write_operation is None else "rw"
                lines.append(f":{name}\t{access}\t{spec.summary}\n")
        return "".join(lines)
