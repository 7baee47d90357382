"""Which commands there are, under which headings; as data, so that the help imports none of them."""

from __future__ import annotations

from vfs_core.specs import CommandSpec

EVERYDAY = "Every day"
MEMORY = "Memory"
NOTES = "More with notes"
EXCHANGE = "In and out"
CARE = "Setup and care"

_COMMANDS = "avm_builtin.frontends.cli.commands."

COMMANDS = (
    CommandSpec(
        "write", _COMMANDS + "writing:write", "Write a note: --content TEXT, or pipe it in", EVERYDAY
    ),
    CommandSpec("read", _COMMANDS + "reading:read", "Print a note, byte for byte", EVERYDAY),
    CommandSpec("append", _COMMANDS + "writing:append", "Add to the end of a note", EVERYDAY),
    CommandSpec("ls", _COMMANDS + "listing:ls", "List a directory", EVERYDAY),
    CommandSpec("search", _COMMANDS + "searching:search", "Find notes by their words", EVERYDAY),
    CommandSpec("semantic", _COMMANDS + "searching:semantic", "Find notes by what they mean", MEMORY),
    CommandSpec(
        "retrieve",
        _COMMANDS + "searching:retrieve",
        "Find notes by words and meaning, and follow links",
        MEMORY,
    ),
    CommandSpec("remember", _COMMANDS + "remembering:remember", "Store what is worth keeping", MEMORY),
    CommandSpec(
        "recall", _COMMANDS + "remembering:recall", "What is known, within a budget of tokens", MEMORY
    ),
    CommandSpec(
        "synthesize", _COMMANDS + "remembering:synthesize", "One document about a topic, with sources", MEMORY
    ),
    CommandSpec("context", _COMMANDS + "beginning:context", "What to know when a session starts", MEMORY),
    CommandSpec("pin", _COMMANDS + "beginning:pin", "Have notes in every context", MEMORY),
    CommandSpec("unpin", _COMMANDS + "beginning:unpin", "Not any more", MEMORY),
    CommandSpec(
        "consolidate", _COMMANDS + "consolidating:consolidate", "Merge, sum up and archive old notes", MEMORY
    ),
    CommandSpec("digest", _COMMANDS + "digesting:digest", "What happened in the last day", MEMORY),
    CommandSpec("topics", _COMMANDS + "navigating:topics", "What there is, by category and tag", MEMORY),
    CommandSpec("browse", _COMMANDS + "navigating:browse", "The tree with counts, or what matches", MEMORY),
    CommandSpec("fetch", _COMMANDS + "navigating:fetch", "Several notes within a budget of tokens", MEMORY),
    CommandSpec("timeline", _COMMANDS + "navigating:timeline", "What happened in the last days", MEMORY),
    CommandSpec("recent", _COMMANDS + "navigating:recent", "What was written last", MEMORY),
    CommandSpec("explore", _COMMANDS + "navigating:explore", "What a note's links lead to", MEMORY),
    CommandSpec("graph", _COMMANDS + "drawing:graph", "Notes and their links, to be drawn", MEMORY),
    CommandSpec("mv", _COMMANDS + "moving:mv", "Move a note, a directory or all of a prefix", EVERYDAY),
    CommandSpec("rm", _COMMANDS + "removing:rm", "Remove notes, with -r whole directories", EVERYDAY),
    CommandSpec("link", _COMMANDS + "linking:link", "Link two notes", EVERYDAY),
    CommandSpec("cat", _COMMANDS + "reading:cat", "Print several notes, one after the other", NOTES),
    CommandSpec("mkdir", _COMMANDS + "writing:mkdir", "Make a directory", NOTES),
    CommandSpec("links", _COMMANDS + "linking:links", "List a note's links", NOTES),
    CommandSpec("tag", _COMMANDS + "tagging:tag", "Show, add and remove tags; alone: all tags", NOTES),
    CommandSpec("history", _COMMANDS + "past:history", "List a note's versions", NOTES),
    CommandSpec("diff", _COMMANDS + "past:diff", "What changed between two versions", NOTES),
    CommandSpec("delta", _COMMANDS + "following:delta", "What is new since you read it last", NOTES),
    CommandSpec("mark", _COMMANDS + "following:mark", "How far you have read a note", NOTES),
    CommandSpec("changes", _COMMANDS + "following:changes", "What was changed last", NOTES),
    CommandSpec("blame", _COMMANDS + "past:blame", "Who wrote each line of a note, and when", NOTES),
    CommandSpec("undo", _COMMANDS + "undoing:undo", "Take back changes of a note, a tree or an agent", NOTES),
    CommandSpec("trash", _COMMANDS + "undoing:trash", "List what you can restore", NOTES),
    CommandSpec("restore", _COMMANDS + "undoing:restore", "Bring back what was removed", NOTES),
    CommandSpec("ttl", _COMMANDS + "undoing:ttl", "Let a note expire", NOTES),
    CommandSpec("access", _COMMANDS + "access:access", "Who may do what with a path, and why", NOTES),
    CommandSpec("stats", _COMMANDS + "stats:stats", "What you can see of the store, in numbers", NOTES),
    CommandSpec("import", _COMMANDS + "importing:import_", "Bring in a directory or JSON lines", EXCHANGE),
    CommandSpec("export", _COMMANDS + "exporting:export", "Write notes to files or JSON lines", EXCHANGE),
    CommandSpec("init", _COMMANDS + "init:init", "Make the store and a configuration to begin with", CARE),
    CommandSpec("config", _COMMANDS + "config:config", "Check and show the configuration", CARE),
    CommandSpec("plugins", _COMMANDS + "plugins:plugins", "List the plugins and what failed", CARE),
    CommandSpec("backup", _COMMANDS + "backup:backup", "Copy the store, or put a copy back", CARE),
    CommandSpec("forget", _COMMANDS + "forgetting:forget", "Erase a note for good, and prove it", CARE),
    CommandSpec("reindex", _COMMANDS + "reindexing:reindex", "Index and embed everything now", CARE),
    CommandSpec("audit", _COMMANDS + "audit:audit", "Who changed what, and proof of it", CARE),
    CommandSpec("doctor", _COMMANDS + "doctor:doctor", "Look for what is wrong, and say what mends it", CARE),
    CommandSpec("completion", _COMMANDS + "completion:completion", "Completion for bash, zsh or fish", CARE),
)

OWN = {command.name: command for command in COMMANDS}
