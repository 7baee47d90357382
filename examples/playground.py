"""The main job on real input: two agents write, read, move, search and share notes, in Python and on the command line.

The notes are texts that every machine has: licences and documentation of the system and of installed packages.
Everything happens in a temporary store, which is removed at the end; `make demo` runs it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from avm import AVM, BaseHandler, register_handler
from avm.errors import Conflict, Denied, MissingExtra, NotFound

MAX_NOTES = 1500
MAX_BYTES = 200_000


def section(number: int, title: str) -> None:
    """A heading."""
    print(f"\n{'=' * 60}\n  {number}. {title}\n{'=' * 60}")


def system_texts() -> Iterator[tuple[str, str]]:
    """Names and contents of licence and documentation files that this machine has."""
    places = [Path("/usr/share/common-licenses"), Path("/usr/share/doc")]
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            if path.is_file() and not path.is_symlink() and path.suffix in ("", ".txt", ".md"):
                yield f"system/{path.relative_to(place.parent)}", _text(path)
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        yield f"python/{name}/METADATA", distribution.read_text("METADATA") or ""
        for file in distribution.files or ():
            if "licen" in file.name.lower() or "copying" in file.name.lower():
                yield f"python/{name}/{file.name}", _text(Path(str(file.locate())))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def command(db: Path, line: str, stdin: str = "") -> None:
    """Run a line of the CLI as a user would, and show what it prints."""
    words = shlex.split(line)
    print(f"$ {line}")
    done = subprocess.run(
        [sys.executable, "-m", "avm", "--db", str(db), *words[1:]],
        input=stdin.encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "AVM_CONFIG": "", "XDG_CONFIG_HOME": str(db.parent)},
    )
    shown = (done.stdout + done.stderr).decode("utf-8", "replace").rstrip()
    for printed in shown.splitlines():
        print(f"  {printed}")
    if done.returncode:
        print(f"  (exit code {done.returncode})")


class Clock(BaseHandler):
    """The uptime of this process, as a file."""

    def read(self, path: str, context: object) -> str:
        """A line of text, made anew at each read."""
        return f"{time.process_time():.2f} s of CPU so far\n"


PROVIDERS: list[dict[str, Any]] = [
    {"pattern": "/live/clock", "handler": "clock"},
    {"pattern": "/system/status", "handler": "script", "config": {"command": "uptime"}, "ttl": 60},
    {"pattern": "/here/**", "handler": "file", "config": {"root": str(Path(__file__).parent)}},
]


def main() -> None:
    """Run every section."""
    register_handler("clock", Clock)
    with tempfile.TemporaryDirectory(prefix="avm-playground-") as folder:
        db = Path(folder) / "avm.db"
        trader = AVM(db=db, agent="trader", providers=PROVIDERS)
        analyst = AVM(db=db, agent="analyst")
        with trader, analyst:
            run(db, trader, analyst)


NEWS = {
    "mideast": "中东局势紧张",
    "rates": "The central bank raised its rates yesterday.",
    "oil": "Brent crude climbed above 90 dollars a barrel.",
    "chips": "芯片出口限制扩大，英伟达股价下跌",
    "weather": "明天有雨，出门记得带伞",
    "lunch": "The new noodle place around the corner is closed on Mondays.",
    "launch": "The rocket put three satellites into orbit.",
    "match": "主队在加时赛中落败",
}


def by_meaning(db: Path) -> None:
    """Questions that share no word with what answers them."""
    with AVM(db=db, agent="reporter") as reporter:
        for name, text in NEWS.items():
            reporter.write(f"/memory/news/{name}.md", text)
        try:
            for query in (
                "伊朗军事冲突",
                "Iran conflict news",
                "do I need an umbrella",
                "semiconductor stocks",
                "who lost the game?",
            ):
                best = reporter.semantic(query, limit=1)[0]
                print(f"📌 {query!r} → [{best.score:.2f}] {reporter.read(best.path).text}")
        except MissingExtra as error:
            print(f"📌 left out: {error}")


def run(db: Path, trader: AVM, analyst: AVM) -> None:
    """The demonstration itself, on one store."""
    section(1, "BASIC READ/WRITE, ON REAL TEXT")
    notes = [(f"/memory/library/{name}", text) for name, text in system_texts() if text.strip()][:MAX_NOTES]
    started = time.perf_counter()
    for start in range(0, len(notes), 100):
        analyst.write_many(notes[start : start + 100])
    seconds = time.perf_counter() - started
    size = sum(len(text.encode()) for _, text in notes)
    print(f"✓ {len(notes):,} texts of this machine written ({size / 1e6:.1f} MB in {seconds:.1f} s)")
    trader.write(
        "/memory/lessons/risk_management.md", "# Risk Management Rules\n\n- Never risk more than 2%.\n"
    )
    node = analyst.read("/memory/lessons/risk_management.md")
    print(
        f"✓ trader wrote, analyst reads version {node.version} by {node.stat.owner}: {node.text.splitlines()[0]}"
    )

    section(2, "FULL-TEXT SEARCH")
    for query in ("warranty merchantability", "redistribute modif*", "risk AND reward"):
        print(f"📌 Search: {query!r}")
        for hit in trader.search(query, limit=2):
            print(f"   [{hit.score:.2f}] {hit.path}\n          {hit.snippet}")
    trader.write("/memory/market/mideast.md", "# 要闻\n\n中东局势紧张,油价上涨。\n")
    for query in ("局势", "紧张", "局势紧张"):
        print(f"📌 Search: {query!r} → {[hit.path for hit in analyst.search(query)]}")

    section(3, "KNOWLEDGE GRAPH (LINKING) AND TAGS")
    trader.write(
        "/memory/market/NVDA_analysis.md", "NVDA: RSI at 72, overbought.\n", {"tags": ["market", "nvda"]}
    )
    trader.link("/memory/market/NVDA_analysis.md", "/memory/lessons/risk_management.md", "related")
    for link in analyst.links("/memory/lessons/risk_management.md"):
        print(f"   {Path(link.source).name} → {link.target} ({link.kind})")
    print(f"📌 Tag cloud: {analyst.tags()}")
    print(
        f"📌 cat NVDA_analysis.md:tags → {analyst.read('/memory/market/NVDA_analysis.md:tags').text.strip()}"
    )

    section(4, "AGENT MEMORY (TOKEN-AWARE RECALL), NAVIGATION")
    memory = trader.agent_memory()
    for text, importance in (
        ("NVDA showing weakness. RSI at 72, reduce exposure.", 0.9),
        ("BTC holding $65K, key AKIAIOSFODNN7EXAMPLE", 0.7),
    ):
        done = memory.remember(text, importance=importance, tags=["market"])
        taken = f", taken out: {', '.join(done.redacted)}" if done.redacted else ""
        print(f"✓ Remembered: {done.path} (importance: {importance}{taken})")
    print("📌 Recall: 'NVDA risk' (max 500 tokens):")
    print(memory.recall("NVDA risk", max_tokens=500))
    print("📌 Without a keyword: topics() → browse() → explore() → recall()")
    print(memory.topics())
    print(memory.browse("/memory", depth=1))
    print(memory.explore("/memory/market/NVDA_analysis.md"))
    print(memory.timeline(days=1, limit=3))
    print(f"📌 analyst recalls it: {analyst.recall('exposure', scope='/memory/private').strip()}")

    section(5, "FOUND BY WHAT IT MEANS, IN TWO LANGUAGES")
    by_meaning(db.parent / "meaning" / "avm.db")

    section(6, "MULTI-AGENT ISOLATION")
    analyst.write("/private/spy.md", "SPY pattern: a head and shoulders, private to analyst.\n")
    print(f"📌 analyst finds {[hit.path for hit in analyst.search('shoulders')]}")
    print(f"📌 trader finds  {[hit.path for hit in trader.search('shoulders')]}")
    try:
        trader.read("/memory/private/analyst/spy.md")
    except NotFound as error:
        print(f"📌 trader reads it: {error}")
    analyst.share("/private/spy.md", "trader")
    print(f"✓ shared with trader: {trader.read('/memory/private/analyst/spy.md').text.strip()}")
    for row in analyst.access("/private/spy.md").agents:
        print(f"   {row.agent}: {', '.join(row.allowed) or '-'}  {row.reason}")

    section(7, "COLLABORATION: NOTHING IS LOST")
    for agent, line in ((trader, "trader was here\n"), (analyst, "analyst was here\n")) * 2:
        agent.append("/memory/shared/report.md", line)
    print(trader.read("/memory/shared/report.md").text, end="")
    base = trader.read("/memory/shared/report.md").version
    analyst.append("/memory/shared/report.md", "a late line\n")
    try:
        trader.write("/memory/shared/report.md", "only mine", base_version=base)
    except Conflict as error:
        print(f"✓ a lost race is an error, not an overwrite: {error}")

    section(8, "EVERYTHING CAN BE LOOKED BACK AT, AND UNDONE")
    trader.write("/memory/plan.md", "buy\nhold\n")
    analyst.write("/memory/plan.md", "buy\nsell\n")
    print(analyst.diff("/memory/plan.md"), end="")
    for blamed in trader.blame("/memory/plan.md"):
        print(f"   v{blamed.version.version} {blamed.version.author:<8} {blamed.text}")
    trader.undo("/memory/plan.md")
    print(f"✓ undone: {trader.read('/memory/plan.md').text.split()}")
    trader.delete("/memory/plan.md")
    print(f"📌 trash: {[each.path for each in trader.trash()]}")
    trader.restore("/memory/plan.md")
    print(f"✓ restored, with {len(trader.history('/memory/plan.md'))} versions")

    section(9, "HANDLERS: A SCRIPT, A DIRECTORY, ONE OF ONE'S OWN")
    print(f"📌 /system/status → {trader.read('/system/status').text.strip()}")
    print(f"📌 ls /here → {[entry.name for entry in trader.list('/here')]}")
    print(f"📌 /live/clock → {trader.read('/live/clock').text.strip()}")
    try:
        trader.write("/here/playground.py", "")
    except Denied as error:
        print(f"✓ read-only unless a rule says otherwise: {error}")

    section(10, "VIRTUAL NODES: ONLY WHAT IS NEW, LISTS, SHORTCUTS")
    trader.read("/memory/shared/report.md:delta")
    analyst.append("/memory/shared/report.md", "New finding\n")
    print(trader.read("/memory/shared/report.md:delta").text, end="")
    print(trader.read("/memory/shared/report.md:delta").text, end="")
    first = trader.read("/memory/shared:list?limit=3").text
    print(first, end="")
    shortcut = next(word for word in first.split() if word.startswith("@"))
    print(f"📌 {shortcut}:path → {trader.read(f'{shortcut}:path').text.strip()}")

    section(11, "THE SAME ON THE COMMAND LINE")
    command(db, "avm write lesson.md --content 'RSI > 70 = overbought' --agent trader")
    command(db, "avm search overbought --agent analyst")
    command(db, "avm append shared/report.md --agent analyst", "a line from a pipe\n")
    command(db, "avm mv /memory/market/ /memory/archive/ --agent trader")
    command(db, "avm ls -l /memory/archive --agent analyst")
    command(db, "avm read /memory/private/analyst/nothing-there.md --agent trader")
    command(db, "avm history shared/report.md --agent trader")
    command(db, "avm backup")
    command(db, "avm audit verify")
    command(db, "avm stats --agent trader")

    section(12, "WHAT IT KEEPS")
    stats = trader.stats()
    print(f"   {stats.notes:,} notes, {stats.size / 1e6:.1f} MB, visible to {stats.agent}")
    print("\nDEMO COMPLETE 🎉   Your own memory, three commands:\n")
    folder = Path(sys.executable).parent
    print(f"  export PATH={folder}:$PATH")
    print("  avm write hello.md --content 'my first note'")
    print("  avm search first")


if __name__ == "__main__":
    main()
