"""The MCP server as clients meet it: a process of its own on standard input and output, and the SDK's client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from avm import AVM
from avm_builtin.frontends.mcp.app import INSTRUCTIONS
from avm_builtin.frontends.mcp.tools import BUDGET, TOOLS
from avm_builtin.memory import tokens

TOKENS, INSTRUCTION_TOKENS = 1500, 150
"""What the tools of the core profile, and the instructions, may cost; bars.md has it."""
SEED = {
    "avm_recall", "avm_browse", "avm_fetch", "avm_remember", "avm_search", "avm_list", "avm_read", "avm_tags",
    "avm_recent", "avm_stats",
}  # fmt: skip


class Said(NamedTuple):
    """What a tool answered."""

    text: str
    failed: bool


class Client(NamedTuple):
    """A client of a running server."""

    session: ClientSession

    async def call(self, name: str, /, **arguments: Any) -> Said:
        """Call a tool."""
        result = await self.session.call_tool(name, arguments)
        (block,) = result.content
        assert block.type == "text" and "Traceback" not in block.text
        return Said(block.text, bool(result.is_error))


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """Starts a server for an agent, and a client of it."""

    @asynccontextmanager
    async def start(agent: str = "akashi", *options: str) -> AsyncIterator[Client]:
        arguments = [
            "-m",
            "avm_builtin.frontends.mcp",
            "--user",
            agent,
            "--db",
            str(tmp_path / "avm.db"),
            *options,
        ]
        server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
        async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            yield Client(session)

    return start


def run(test: Callable[[], Awaitable[None]]) -> None:
    anyio.run(test)


# --- what it costs -------------------------------------------------------------------------------


def test_the_tools_of_the_core_cost_little_and_are_those_of_the_seed(connect: Connect):
    async def test() -> None:
        async with connect() as client:
            listed = (await client.session.list_tools()).tools
        assert {each.name for each in listed} >= SEED
        said = json.dumps(
            {"tools": [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in listed]},
            separators=(",", ":"),
        )
        assert tokens.count(said) <= TOKENS
        for each in listed:
            hints = each.annotations
            assert hints is not None
            assert None not in (
                hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint,
            )  # fmt: skip
            assert each.input_schema["additionalProperties"] is False
            assert "title" not in json.dumps(each.input_schema) or each.name == "avm_remember"

    run(test)
    assert tokens.count(INSTRUCTIONS) <= INSTRUCTION_TOKENS


def test_all_tools_are_in_the_full_profile(connect: Connect):
    async def test() -> None:
        async with connect("akashi", "--profile", "full") as client:
            listed = (await client.session.list_tools()).tools
        assert [each.name for each in listed] == [each.name for each in TOOLS]

    run(test)


# --- everyday jobs -------------------------------------------------------------------------------


def test_what_one_session_remembers_another_agents_session_recalls(connect: Connect):
    async def test() -> None:
        async with connect("akashi") as client:
            stored = await client.call(
                "avm_remember", content="Rates are decided on Thursdays.", tags=["macro"]
            )
            assert stored.text.startswith("Stored: /memory/shared/")
            again = await client.call("avm_remember", content="Rates are decided on Thursdays.")
            assert again.text.startswith("There already: ")
            private = await client.call("avm_remember", content="My rates guess: unchanged.", private=True)
            assert private.text.startswith("Stored: /memory/private/akashi/")
        async with connect("yuze") as client:
            recalled = await client.call("avm_recall", query="rates", max_tokens=500)
            assert "decided on Thursdays" in recalled.text and "akashi via mcp" in recalled.text
            assert "unchanged" not in recalled.text
            assert "unchanged" not in (await client.call("avm_search", query="rates guess")).text
            assert (await client.call("avm_tags")).text == "macro: 1\n"

    run(test)


def test_a_document_is_kept_up_together_and_no_change_is_lost(connect: Connect):
    async def test() -> None:
        path = "/memory/shared/plan.md"
        async with connect("akashi") as one, connect("yuze") as other:
            assert (
                await one.call("avm_write", path=path, content="a\n")
            ).text == f"Written: {path}, version 1\n"
            await other.call("avm_read", path=f"{path}:delta")
            assert (await one.call("avm_write", path=path, content="b\n", append=True)).text.endswith(
                "version 2\n"
            )
            lost = await other.call("avm_write", path=path, content="mine\n", base_version=1)
            assert lost.failed
            assert "+b" in (await other.call("avm_read", path=f"{path}:delta")).text
            assert (await other.call("avm_read", path=path)).text == "a\nb\n"

    run(test)


def test_an_outdated_note_is_corrected(connect: Connect):
    async def test() -> None:
        async with connect() as client:
            old = (await client.call("avm_remember", content="The server runs Debian 11.")).text.split()[1]
            new = (
                await client.call("avm_remember", content="The server runs Debian 12 now.", supersedes=old)
            ).text
            recalled = (await client.call("avm_recall", query="which Debian does the server run")).text
            assert recalled.index("Debian 12") < recalled.index("Debian 11")
            assert f"superseded by {new.split()[1]}" in recalled

    run(test)


def test_two_phases_browsing_and_reading_on(connect: Connect):
    async def test() -> None:
        async with connect() as client:
            await client.call("avm_write", path="/memory/shared/long.md", content="lighthouse\n" * 3000)
            found = await client.call("avm_browse", query="lighthouse")
            assert "/memory/shared/long.md" in found.text
            text, offset = "", 0
            while True:
                part = await client.call("avm_read", path="/shared/long.md", offset=offset, max_tokens=2000)
                assert tokens.count(part.text) <= 2100
                shown, cut, rest = part.text.partition("\n(cut: ")
                text += shown
                if not cut:
                    break
                offset = int(rest.rpartition("offset=")[2].rstrip(")\n"))
            assert text == "lighthouse\n" * 3000
            fetched = await client.call(
                "avm_fetch", paths=["/shared/long.md", "/memory/nothing"], max_tokens=300
            )
            assert tokens.count(fetched.text) <= 300 and "/memory/nothing: not found" in fetched.text

    run(test)


# --- budgets -------------------------------------------------------------------------------------


def test_no_answer_exceeds_its_budget_and_what_is_cut_can_be_had(connect: Connect, tmp_path: Path):
    names = [f"{number:05}-the-quarterly-report-on-pumps-and-seals.md" for number in range(1500)]
    with AVM(db=tmp_path / "avm.db", agent="akashi") as avm:
        avm.session.write_many([(f"/memory/shared/many/{name}", f"pump {name}") for name in names])
        for number in range(900):
            avm.write(f"/memory/shared/tagged/{number % 3}", "x", {"tags": [f"a-long-tag-number-{number}"]})

    async def test() -> None:
        async with connect() as client:
            for name, arguments in (
                ("avm_browse", {"query": "pump", "limit": 100}), ("avm_search", {"query": "pump", "limit": 100}),
                ("avm_tags", {}), ("avm_recent", {"limit": 100}), ("avm_recent", {"limit": 100, "days": 9}),
                ("avm_list", {"path": "/shared/many", "limit": 1000}), ("avm_browse", {}), ("avm_stats", {}),
                ("avm_recall", {"query": "pump"}),
            ):  # fmt: skip
                said = await client.call(name, **arguments)
                assert not said.failed and 0 < tokens.count(said.text) <= BUDGET, (name, said.text[-200:])
            listed: list[str] = []
            after = ""
            while True:
                page = (
                    await client.call("avm_list", path="/shared/many", limit=1000, after=after)
                ).text.splitlines()
                listed += [line for line in page if not line.startswith("(")]
                if not page[-1].startswith("(there are more"):
                    break
                after = page[-1].split("after=")[1].strip("')")
            assert listed == names

    run(test)


# --- hostile input -------------------------------------------------------------------------------


def test_wrong_arguments_are_named_and_identity_is_none_of_them(connect: Connect):
    async def test() -> None:
        async with connect("akashi", "--profile", "full") as client:
            await client.call("avm_write", path="/private/diary", content="secret of akashi")
        async with connect("yuze", "--profile", "full") as client:
            for agent in ({"agent": "akashi"}, {"user": "akashi"}, {"_meta": {"user": "akashi"}}):
                said = await client.call("avm_read", path="/memory/private/akashi/diary", **agent)
                assert said.failed and "secret" not in said.text
                assert next(iter(agent)) in said.text
            missing = await client.call("avm_read")
            assert missing.failed and "path" in missing.text
            wrong = await client.call("avm_recall", query=["x"], max_tokens="many")
            assert wrong.failed and "query" in wrong.text and "max_tokens" in wrong.text
            unknown = await client.call("avm_reed", path="x")
            assert unknown.failed and "avm_read" in unknown.text
            large = await client.call("avm_write", path="/memory/large", content="x" * 10_000_000)
            assert not large.failed
            for name, arguments in (
                ("avm_read", {"path": "/memory/private/akashi/diary"}),
                ("avm_read", {"path": "/memory/private/akashi/diary:history"}),
                ("avm_fetch", {"paths": ["/memory/private/akashi/diary"]}),
                ("avm_list", {"path": "/memory/private/akashi"}),
                ("avm_move", {"source": "/memory/private/akashi/diary", "target": "/memory/x"}),
                ("avm_delete", {"path": "/memory/private/akashi/diary"}),
                ("avm_link", {"source": "/memory/large", "target": "/memory/private/akashi/diary"}),
                ("avm_write", {"path": "/memory/private/akashi/diary", "content": "mine"}),
            ):
                said = await client.call(name, **arguments)
                assert "secret" not in said.text
                assert said.failed or "not found" in said.text or said.text == "Empty.\n", (name, said)
        async with connect("akashi") as client:
            assert (await client.call("avm_read", path="/private/diary")).text == "secret of akashi"

    run(test)


PATHS = (
    "", ".", "..", "/", "//", "/memory/../../etc/passwd", "/memory/%2e%2e/x", "/memory/\0", "/memory/\ud800",
    "/memory/" + "a" * 300, "/memory" + "/a" * 3000, "@", "@zzz", "/memory/x:tags?format=xml", "/memory/:nothing",
    "/trash/x", "/tell/bob", "/.avm/handlers/nothing", "avm://memory/x", "~/.ssh/id_rsa", "-rf", "/memory/\n\r\x1b[31m",
)  # fmt: skip


def test_no_path_breaks_a_tool(connect: Connect):
    async def test() -> None:
        async with connect("akashi", "--profile", "full") as client:
            for path in PATHS:
                if "\ud800" in path:
                    continue  # no JSON on the wire can say it
                for name, arguments in (
                    ("avm_read", {"path": path}), ("avm_list", {"path": path}), ("avm_fetch", {"paths": [path]}),
                    ("avm_browse", {"path": path}), ("avm_delete", {"path": path}),
                    ("avm_write", {"path": path, "content": "x"}), ("avm_recall", {"query": "x", "under": path}),
                    ("avm_move", {"source": path, "target": path + "x"}),
                ):  # fmt: skip
                    said = await client.call(name, **arguments)
                    assert "AVM failed" not in said.text, (name, path, said.text)
            assert not (await client.call("avm_stats")).failed

    run(test)


def test_two_hundred_calls_at_once_and_eight_servers_lose_nothing(connect: Connect):
    async def test() -> None:
        async def remember(client: Client, agent: str, number: int) -> None:
            said = await client.call("avm_remember", content=f"{agent} has counted to {number} by now.")
            assert said.text.startswith("Stored"), said

        async def serve(agent: str) -> None:
            async with connect(agent) as client, anyio.create_task_group() as group:
                for number in range(25):
                    group.start_soon(remember, client, agent, number)

        async with anyio.create_task_group() as group:
            for agent in range(8):
                group.start_soon(serve, f"agent-{agent}")
        async with connect("reader") as client:
            assert "notes: 200 (" in (await client.call("avm_stats")).text

    run(test)


# --- the process ---------------------------------------------------------------------------------


def started(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "avm_builtin.frontends.mcp",
        "--db",
        str(tmp_path / "avm.db"),
        *arguments,
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_it_ends_with_its_client(tmp_path: Path):
    process = started(tmp_path)
    _, said = process.communicate(b"", timeout=60)
    assert process.returncode == 0, said


@pytest.mark.parametrize(
    "line", [b"garbage\n", b'{"jsonrpc":"2.0"}\n', b"\xff\xfe\n", b"{" * 100_000 + b"\n"]
)
def test_garbage_ends_nothing(tmp_path: Path, line: bytes):
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    process = started(tmp_path)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(line + json.dumps(hello).encode() + b"\n")
    process.stdin.flush()
    for _ in range(5):
        answer = json.loads(process.stdout.readline())
        if answer.get("id") == 1:
            break
    assert answer["result"]["serverInfo"]["name"] == "avm"
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_what_is_wrong_at_the_start_is_told_and_not_on_standard_output(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("providers: 7\n")
    process = started(tmp_path, "--config", str(config))
    out, said = process.communicate(timeout=60)
    assert process.returncode == 1 and out == b"" and b"providers" in said and b"Traceback" not in said


def test_without_the_package_it_says_what_to_type(tmp_path: Path):
    code = (
        "import sys\nsys.modules['mcp'] = None\nsys.argv = ['avm-mcp', '--db', sys.argv[1]]\n"
        "from avm_builtin.frontends.mcp.main import main\nmain()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "avm.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "pip install 'avm[mcp]'" in done.stderr and "Traceback" not in done.stderr


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path):
    code = (
        "from avm_builtin.frontends.mcp import app, tools, main\nfrom vfs_core.plugins import heavy_modules\n"
        "print([each for each in heavy_modules() if each not in ('mcp', 'httpx', 'jsonschema')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
