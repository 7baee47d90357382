"""`avm remember` and `avm recall`, as they are typed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


def test_what_one_session_remembers_the_next_recalls(avm: Avm) -> None:
    said = avm(
        "remember", "NVDA RSI at 72, overbought", "--importance", "0.9", "--tag", "market", "-a", "trader"
    )
    assert (said.code, said.out) == (0, "/memory/private/trader/nvda_rsi_at_72_overbought.md\n")
    found = avm("recall", "what about NVDA?", "--agent", "trader", "--max-tokens", "500")
    assert found.code == 0 and "NVDA RSI at 72, overbought" in found.out
    assert found.out.startswith("## Relevant Memory (1 item, ~")


def test_what_is_private_is_not_recalled_by_another(avm: Avm) -> None:
    avm("remember", "quokka habitat", "-a", "trader")
    found = avm("recall", "quokka", "-a", "kuro")
    assert found.code == 6
    assert found.out == "Nothing found in the shared spaces and the private one of kuro.\n"
    avm("remember", "quokka habitat", "--namespace", "shared", "-a", "trader")
    assert "quokka habitat" in avm("recall", "quokka", "-a", "kuro").out


def test_it_reads_standard_input_and_tells_what_it_took_out(avm: Avm) -> None:
    said = avm("remember", "--title", "key", stdin=b"key is AKIAIOSFODNN7EXAMPLE here\n")
    assert said.code == 0 and "taken out: AWS access key" in said.err
    assert "AKIA" not in avm("read", said.out.strip()).out


def test_it_tells_what_is_there_already_and_what_resembles(avm: Avm) -> None:
    text = "the committee raised interest rates by a quarter of a point on Wednesday to fight inflation"
    first = avm("remember", text)
    assert "was there already" in avm("remember", text).err
    assert f"resembles {first.out.strip()} (" in avm("remember", f"{text} again").err


def test_json_has_the_parts(avm: Avm) -> None:
    made = json.loads(avm("remember", "quokka habitat", "--json").out)
    assert (made["stored"], made["similar"], made["redacted"]) == (True, [], [])
    found = json.loads(avm("recall", "quokka", "--json").out)
    assert found["notes"][0]["path"] == made["path"] and found["tokens"] <= 4000


def test_a_mistake_says_what_is_wrong(avm: Avm) -> None:
    assert avm("recall", "x", "--max-tokens", "0").code == 2
    assert avm("remember", "x", "--importance", "7").code == 2
    assert avm("remember", "x", "--derived-from", "/memory/none").code == 3
    assert avm("recall", "x", "--since", "someday").code == 2


def test_ones_way_without_a_keyword(avm: Avm) -> None:
    avm("write", "shared/nvda.md", "--content", "# NVDA\nRSI at 72", "--tag", "market")
    avm("write", "shared/risk.md", "--content", "never more than 2%")
    avm("link", "shared/nvda.md", "shared/risk.md")
    assert avm("topics").out.splitlines()[2:4] == ["  📁 shared: 2 memories", "### By Tag:"]
    assert avm("browse").out == "📁 shared (2)\n"
    assert avm("browse", "--query", "RSI").out.endswith("] /memory/shared/nvda.md\n    NVDA\n")
    assert avm("browse", "--query", "nothing such").code == 6
    assert "RSI at 72" in avm("fetch", "shared/nvda.md").out
    assert [line[10:] for line in avm("timeline").out.splitlines()[2:]] == [
        "risk: never more than 2%",
        "nvda: NVDA",
    ]
    assert avm("recent", "-n", "1").out.count("[") == 1
    assert avm("explore", "shared/nvda.md").out.splitlines()[-1] == "  [related] /memory/shared/risk.md"
    assert avm("explore", "none.md").code == 3


def test_the_ways_are_data_too(avm: Avm) -> None:
    avm("write", "shared/nvda.md", "--content", "RSI at 72", "--tag", "market")
    assert json.loads(avm("topics", "--json").out) == {"categories": {"shared": 1}, "tags": {"market": 1}}
    assert json.loads(avm("browse", "--json").out)["directories"] == {"/memory/shared": 1}
    for command in ("timeline", "recent"):
        assert [each["summary"] for each in json.loads(avm(command, "--json").out)] == ["RSI at 72"]
    assert json.loads(avm("explore", "shared/nvda.md", "--json").out)["reached"] == []


def test_graph_prints_what_is_linked(avm):
    avm("write", "risk.md", "--content", "x", "--meta", 'title=The "rules"')
    avm("write", "nvda.md", "--content", "see [[risk]]")
    done = avm("graph", "nvda.md", "--depth", "1")
    assert done.out == 'flowchart LR\n  n0["nvda.md"]\n  n1["The #34;rules#34;"]\n  n0 -->|"mention"| n1\n'
    assert avm("graph", "--format", "dot").out.startswith("digraph memory {")
    assert [each["path"] for each in avm("graph", "--json").json["notes"]] == [
        "/memory/nvda.md",
        "/memory/risk.md",
    ]
    assert "or more linked notes are not shown" in avm("graph", "-n", "1").err
    assert avm("graph", "nothing.md").code == 3
    assert avm("links", "nvda.md").out == "mention\t/memory/risk.md\t1\n"


def test_search_and_recall_as_of_a_moment(avm):
    import time

    avm("write", "a.md", "--content", "the parrot is alive")
    time.sleep(0.01)
    then = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime()) + f".{time.time_ns() % 10**9:09d}"[:7]
    time.sleep(0.01)
    avm("write", "a.md", "--content", "the parrot is dead")
    avm("mv", "a.md", "b.md")
    assert avm("search", "parrot", "--as-of", then).out.endswith("/memory/a.md\n    the parrot is alive\n")
    assert avm("search", "dead", "--as-of", then).code == 6
    assert avm("search", "parrot", "--in", "/memory/x", "--as-of", then).code == 6
    done = avm("recall", "parrot", "--as-of", then)
    assert "the parrot is alive" in done.out
    assert ", as of " in done.out
    assert avm("search", "parrot", "--mode", "semantic", "--as-of", then).code == 2


def old_note(avm: Avm, path: str, text: str, days: int) -> None:
    """A note that was written some days ago."""
    from vfs_core.kernel import Kernel
    from vfs_core.moments import DAY_NS

    avm("write", path, "--content", text, "-a", "trader")
    with Kernel() as kernel:
        kernel.session("trader").set_times(path, modified_ns=time.time_ns() - days * DAY_NS)


def test_consolidating_says_what_it_does_and_how_to_take_it_back(avm: Avm) -> None:
    old_note(avm, "/private/idle.md", "an idle thought", 400)
    line = (
        "archive\t/memory/private/trader/idle.md\t/memory/private/trader/archive/idle.md\t"
        "importance 0.05, unchanged for 400 days\n"
    )
    planned = avm("consolidate", "--dry-run", "-a", "trader")
    assert (planned.code, planned.out, planned.err) == (0, line, "would make 1 change\n")
    done = avm("consolidate", "-a", "trader")
    assert (done.code, done.out) == (0, line)
    run = re.fullmatch(r"run (\S+); to take it back: avm undo --run \1\nmade 1 change\n", done.err)
    assert run is not None
    assert avm("consolidate", "-a", "trader").err == "made 0 changes\n"
    assert avm("undo", "--run", run[1], "-a", "trader").code == 0
    assert avm("read", "/private/idle.md", "-a", "trader").out == "an idle thought"
    assert avm("undo", "--run", run[1], "-a", "trader").code == 3
    assert avm("undo", "--run", "x", "-a", "trader").code == 2


def test_consolidating_is_data_too(avm: Avm) -> None:
    old_note(avm, "/private/a.md", "an old thought", 100)
    found = avm("consolidate", "--json", "--only", "decay", "-a", "trader").json
    assert found["done"] == [
        {
            "what": "fade",
            "path": "/memory/private/trader/a.md",
            "to": None,
            "why": "importance 0.5 -> 0.3",
        }
    ]
    assert (found["dry_run"], found["skipped"]) == (False, []) and found["run"]
    assert avm("consolidate", "--older-than", "soon").code == 2
    assert avm("consolidate", "none", "-a", "trader").code == 3


def test_a_digest_is_printed_kept_and_data(avm: Avm) -> None:
    avm("remember", "NVDA RSI at 72, overbought", "--tag", "market", "-a", "trader")
    said = avm("digest", "-a", "trader", "--save")
    assert said.code == 0 and "NVDA RSI at 72, overbought" in said.out
    assert re.fullmatch(r"kept in /memory/private/trader/digests/\d{4}-\d\d-\d\d\.md\n", said.err)
    found = avm("digest", "--since", "2h", "--json", "-a", "trader").json
    assert (found["written"], found["new"], found["tags"]) == (1, 1, {"market": 1})
    assert found["notes"][0]["says"] == "NVDA RSI at 72, overbought"
    assert "Nothing was written." in avm("digest", "-a", "kuro").out
    assert avm("digest", "--max-tokens", "0").code == 2
