"""A graph has what the agent may see, is bounded, and no title can break it."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avm import AVM
from avm_builtin.memory import graph as graphs
from avm_builtin.memory.graph import Graph, Vertex
from vfs_core.errors import Invalid, NotFound
from vfs_core.types import Link

HOSTILE = [
    'a"] --> evil["x', "end", "%%{init: {}}%%", "`code`", "a\nb --> c", "<script>alert(1)</script>", "#quot;", "&quot;",
    "\\", '\\"', "\\N", 'x"]; evil [label="', "}", "//", "/* */", "subgraph x", "click n0 call f()",
    "\u202etxt.exe", "中文 标题", "🙂",
]  # fmt: skip

MERMAID = re.compile(
    r"""flowchart\ LR\n
    (?:\ \ n\d+\["(?:[\w\ .,\-/]|\#\d+;)*"\]\n)*
    (?:\ \ n\d+\ (?:---|-->)\|"(?:[\w\ .,\-/]|\#\d+;)*"\|\ n\d+\n)*
    (?:\ \ %%\ [\w,\ ]+\n)?""",
    re.VERBOSE,
)
STRING = r'"(?:[^"\\\n]|\\.)*"'
DOT = re.compile(
    rf"""digraph\ memory\ \{{\n
    \ \ graph\ \[rankdir="LR",\ charset="UTF-8"\];\n\ \ node\ \[shape="box"\];\n
    (?:\ \ n\d+\ \[label={STRING},\ tooltip={STRING}\];\n)*
    (?:\ \ n\d+\ ->\ n\d+\ \[label={STRING}(?:,\ dir="none")?\];\n)*
    (?:\ \ //\ [\w,\ ]+\n)?\}}\n""",
    re.VERBOSE,
)


def paths(drawn: str) -> set[str]:
    return {each["path"] for each in json.loads(drawn)["notes"]}


@pytest.mark.parametrize("title", HOSTILE)
def test_no_title_breaks_the_syntax(avm: AVM, title):
    avm.write("/memory/a.md", "x", {"title": title})
    avm.write("/memory/b.md", "[[a]]", {"title": title})
    assert MERMAID.fullmatch(avm.graph("/memory/a.md"))
    assert DOT.fullmatch(avm.graph("/memory/a.md", format="dot"))
    labels = {each["label"] for each in json.loads(avm.graph(format="json"))["notes"]}
    assert labels == {graphs.on_one_line(title)}


@given(st.lists(st.tuples(st.text(max_size=30), st.text(min_size=1, max_size=30)), min_size=1, max_size=4))
def test_no_text_breaks_the_syntax(texts):
    notes = tuple(
        Vertex(f"/{number}{path}", graphs.on_one_line(label)) for number, (path, label) in enumerate(texts)
    )
    links = tuple(Link(notes[0].path, "related", each.path) for each in notes)
    drawn = Graph(notes, links, 3, True)
    assert MERMAID.fullmatch(graphs.drawn(drawn, "mermaid"))
    assert DOT.fullmatch(graphs.drawn(drawn, "dot"))
    assert len(json.loads(graphs.drawn(drawn, "json"))["notes"]) == len(notes)


def test_a_graph_has_typed_edges_in_both_directions(avm: AVM):
    avm.write("/memory/risk.md", "x", {"title": "Risk rules"})
    avm.write("/memory/nvda.md", "see [[risk]]")
    avm.write("/memory/spy.md", "x")
    avm.link("/memory/spy.md", "/memory/risk.md")
    assert avm.graph("/memory/risk.md") == (
        "flowchart LR\n"
        '  n0["Risk rules"]\n'
        '  n1["nvda.md"]\n'
        '  n2["spy.md"]\n'
        '  n1 -->|"mention"| n0\n'
        '  n2 ---|"related"| n0\n'
    )
    assert 'n2 -> n0 [label="related", dir="none"];' in avm.graph("/memory/risk.md", format="dot")


def test_depth_counts_links(avm: AVM):
    for each in range(5):
        avm.write(f"/memory/n{each}.md", f"[[n{each + 1}]]")
    assert paths(avm.graph("/memory/n2.md", 0, "json")) == {"/memory/n2.md"}
    assert len(paths(avm.graph("/memory/n2.md", 1, "json"))) == 3
    assert len(paths(avm.graph("/memory/n0.md", 2, "json"))) == 3
    assert len(paths(avm.graph("/memory/n2.md", 9, "json"))) == 5


def test_of_a_directory_the_linked_notes_and_what_is_near(avm: AVM):
    avm.write("/memory/a/x.md", "[[y]]")
    avm.write("/memory/b/y.md", "x")
    avm.write("/memory/a/alone.md", "x")
    assert paths(avm.graph("/memory/a", 0, "json")) == {"/memory/a/x.md"}
    assert paths(avm.graph("/memory/a", format="json")) == {"/memory/a/x.md", "/memory/b/y.md"}
    assert avm.graph("/memory/a", 0).count("-->") == 0


def test_it_is_bounded_and_says_what_is_left_out(avm: AVM):
    avm.write("/memory/hub.md", " ".join(f"[[n{each}]]" for each in range(30)))
    for each in range(30):
        avm.write(f"/memory/n{each}.md", "x")
    drawn = avm.agent_memory().graph("/memory/hub.md", limit=10)
    assert drawn.count('["') == 10
    assert "%% 21 linked notes are not shown" in drawn
    everything = json.loads(avm.agent_memory().graph(format="json", limit=10))
    assert (len(everything["notes"]), everything["more"]) == (10, True)
    assert "or more" in avm.agent_memory().graph(limit=10)


def test_nothing_that_may_not_be_seen(avm: AVM):
    avm.write("/memory/open.md", "[x](/private/mine.md)")
    avm.write("/private/mine.md", "[[open]]")
    assert len(paths(avm.graph("/memory/open.md", format="json"))) == 2
    other = avm.agent_memory("analyst")
    assert paths(other.graph("/memory/open.md", format="json")) == {"/memory/open.md"}
    assert paths(other.graph(format="json")) == set()
    with pytest.raises(NotFound):
        other.graph("/memory/private/trader/mine.md")


def test_wrong_values_are_refused(avm: AVM):
    avm.write("/memory/a.md", "x")
    with pytest.raises(Invalid, match="a format is one of"):
        avm.graph(format="svg")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="depth of 0 or more"):
        avm.graph(depth=-1)
    with pytest.raises(NotFound):
        avm.graph("/memory/nothing.md")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(title=st.text(min_size=1, max_size=40))
def test_any_title_can_be_drawn(avm: AVM, title):
    try:
        title.encode()
    except UnicodeEncodeError:
        return
    avm.write("/memory/a.md", "x", {"title": title})
    assert MERMAID.fullmatch(avm.graph("/memory/a.md"))
