"""Virtual nodes beside every node: `/memory/lesson.md:tags` and the like. Registers them; imports none.

Formats: docs/suffixes.md.
"""

from __future__ import annotations

from vfs_core.hookspecs import hookimpl
from vfs_core.specs import SuffixSpec


@hookimpl
def avm_register_suffixes() -> list[SuffixSpec]:
    """The suffixes that this version serves."""
    return [
        SuffixSpec("data", "avm_suffixes.content:Data", "The raw content"),
        SuffixSpec("meta", "avm_suffixes.metadata:Meta", "Metadata as JSON; write JSON to merge"),
        SuffixSpec("tags", "avm_suffixes.metadata:Tags", "Tags, comma-separated; write to set them"),
        SuffixSpec("links", "avm_suffixes.graph:Links", "Links; write `kind path` lines to add some"),
        SuffixSpec(
            "shared", "avm_suffixes.sharing:Shared", "The agents it is shared with; write to set them"
        ),
        SuffixSpec("ttl", "avm_suffixes.time:Ttl", "How long it lives; write 5m, 2h, 1d or never"),
        SuffixSpec("history", "avm_suffixes.time:History", "Its versions, newest first"),
        SuffixSpec("list", "avm_suffixes.listing:List", "What is in it; ?limit, offset, q, tag"),
        SuffixSpec("changes", "avm_suffixes.listing:Changes", "What changed last; ?minutes, since, limit"),
        SuffixSpec("stats", "avm_suffixes.listing:Stats", "How much there is"),
        SuffixSpec("search", "avm_suffixes.searching:Search", "Paths and snippets; ?q=WORDS, limit, mode"),
        SuffixSpec("delta", "avm_suffixes.reading:Delta", "What changed since you read it last"),
        SuffixSpec("mark", "avm_suffixes.reading:Mark", "The version you have read; write one, or now"),
        SuffixSpec("diff", "avm_suffixes.past:Diff", "What changed; ?from=VERSION, to"),
        SuffixSpec("at", "avm_suffixes.past:At", "What it was; ?version=N or t=TIME"),
        SuffixSpec("blame", "avm_suffixes.past:Blame", "Who wrote which line"),
        SuffixSpec("access", "avm_suffixes.sharing:Access", "Who may do what with it"),
        SuffixSpec("inbox", "avm_suffixes.inbox:Inbox", "Messages (not in this version)"),
        SuffixSpec("path", "avm_suffixes.content:Path", "The path"),
        SuffixSpec("info", "avm_suffixes.content:Info", "The suffixes that there are"),
    ]
