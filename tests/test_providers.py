"""Provider rules at work: what handlers are told, what may come back, and what the session makes of it."""

import errno
import threading
import time
from pathlib import Path

import pytest

from avm import AVM, BaseHandler, register_handler
from avm.errors import (
    ConfigError,
    CrossHandler,
    Denied,
    Exists,
    Invalid,
    IsADirectory,
    NotFound,
    PluginError,
    ReadOnly,
    TimedOut,
    Unsupported,
    VfsError,
)
from vfs_core import plugins
from vfs_core.config import PROVIDER_SECONDS, Config, PermissionRule, ProviderRule
from vfs_core.config_text import Template
from vfs_core.kernel import Kernel
from vfs_core.providers import synthetic_stat
from vfs_core.session import Session
from vfs_core.types import Kind, Node, Stat, User


class Dict(BaseHandler):
    """Keeps what is written, by path, and remembers what it was asked. Its `config.contents` is there at the start."""

    made: list["Dict"] = []  # noqa: RUF012  (every instance, for the test to look at)

    def __init__(self, config=None):
        super().__init__(config)
        self.contents = {path: text.encode() for path, text in self.config.get("contents", {}).items()}
        self.calls = []
        self.closed = 0
        Dict.made.append(self)

    def read(self, path, context):
        self.calls.append(("read", path, context))
        return self.contents.get(path)

    def write(self, path, data, context):
        self.calls.append(("write", path, context))
        self.contents[path] = data

    def append(self, path, data, context):
        self.contents[path] = self.contents.get(path, b"") + data

    def list(self, path, context):
        self.calls.append(("list", path, context))
        below = [each[len(path) + 1 :] for each in self.contents if each.startswith(path + "/")]
        return {name.partition("/")[0] + "/" * ("/" in name) for name in below}

    def delete(self, path, context):
        del self.contents[path]

    def rename(self, old, new, context):
        self.calls.append(("rename", old, new))
        self.contents[new] = self.contents.pop(old)

    def close(self):
        self.closed += 1


class Say(BaseHandler):
    """Returns, or raises, its `answer`; only reads."""

    answer: object = b""

    def read(self, path, context):
        if isinstance(Say.answer, BaseException):
            raise Say.answer
        return Say.answer


class Fill(BaseHandler):
    """Shows its configuration, filled in for the request."""

    environ = {"USER": "from the environment"}  # noqa: RUF012

    def read(self, path, context):
        text = self.config["text"]
        return text.fill(context.parameters, self.environ) if isinstance(text, Template) else text


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_in_process", {})
    monkeypatch.setattr(Dict, "made", [])
    for name, handler in (("dict", Dict), ("say", Say), ("fill", Fill)):
        register_handler(name, handler)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


def rule(pattern: str, handler: str = "dict", **config: object) -> ProviderRule:
    return ProviderRule(pattern, handler, config, where="c.yaml:3")


WRITABLE = (PermissionRule("/**", "rw"),)


def kernel(db: Path, *rules: ProviderRule, permissions: tuple[PermissionRule, ...] = ()) -> Kernel:
    return Kernel(Config(providers=rules, permissions=permissions), db)


def one(
    db: Path, pattern: str, handler: str = "dict", *, writable: bool = False, **config: object
) -> Session:
    return kernel(db, rule(pattern, handler, **config), permissions=WRITABLE if writable else ()).session(
        "akashi"
    )


# --- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        (b"\0\xff", b"\0\xff"),
        (b"", b""),
        ("局势", "局势".encode()),
        ("", b""),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcdefgh").cast("I"), b"abcdefgh"),
    ],
    ids=["bytes", "no bytes", "text", "no text", "bytearray", "a view of wider items"],
)
def test_bytes_and_text_become_a_node(db: Path, answer: object, data: bytes):
    Say.answer = answer
    session = one(db, "/say/{x}", "say")
    node = session.read("/say/a")
    assert (node.path, node.data, node.stat.size) == ("/say/a", data, len(data))
    assert type(node.data) is bytes
    assert (node.stat.kind, node.stat.id, node.version, node.meta) == (Kind.FILE, 0, 0, {})
    assert session.stat("/say/a") == node.stat


def test_a_node_is_passed_on_as_it_is(db: Path):
    stat = Stat(0, Kind.FILE, 0o644, "redis", "redis", 3, 9, 1, 2, 3)
    Say.answer = Node("/say/a", b"abc", stat, '{"title":"x"}')
    assert one(db, "/say/{x}", "say").read("/say/a") is Say.answer


def test_none_is_not_found_worded_as_everywhere(db: Path):
    Say.answer = None
    session = one(db, "/say/{x}", "say")
    for ask in (session.read, session.stat):
        with pytest.raises(NotFound, match=r"^/say/a: not found$"):
            ask("/say/a")
    assert not session.exists("/say/a")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ({"a": 1}, r"returned dict; read\(\) returns bytes, str, a Node or None"),
        (7, "returned int"),
        ("\ud800", "failed: UnicodeEncodeError"),
        (KeyError("price"), "failed: KeyError: 'price'"),
        (RecursionError(), "failed: RecursionError"),
    ],
    ids=["dict", "int", "no Unicode", "KeyError", "RecursionError"],
)
def test_whatever_else_goes_wrong_names_the_rule_and_the_cause(db: Path, answer: object, cause: str):
    Say.answer = answer
    session = one(db, "/say/{x}", "say")
    for ask in (session.read, session.stat):
        with pytest.raises(PluginError, match=f"^/say/a: the handler 'say' of c.yaml:3 {cause}"):
            ask("/say/a")
    session.write("/memory/a", "the rest works")


def test_errors_of_our_tree_come_through_unchanged(db: Path):
    Say.answer = TimedOut("the server took too long")
    with pytest.raises(TimedOut, match=r"^the server took too long$"):
        one(db, "/say/{x}", "say").read("/say/a")


def test_what_cannot_be_made_names_the_rule_and_the_rest_works(db: Path):
    class Broken(Dict):
        def __init__(self, config=None):
            raise ConnectionError("no server")

    register_handler("broken", Broken)
    with kernel(db, rule("/broken/{x}", "broken"), rule("/d/{x}", contents={"/d/a": "x"})) as opened:
        session = opened.session()
        for _ in range(2):
            with pytest.raises(
                PluginError, match=r"the handler 'broken' of c.yaml:3 cannot be made: .*no server"
            ):
                session.read("/broken/a")
        assert session.read("/d/a").text == "x"


def test_a_handler_that_refuses_its_configuration_says_where_that_is(db: Path):
    class Odd(VfsError):
        def __init__(self, what: str, number: int) -> None:
            super().__init__(what)

    class Refuses(Say):
        def __init__(self, config: object = None) -> None:
            raise Odd("this can never work", 7)

    register_handler("refuses", Refuses)
    with pytest.raises(Odd, match=r"\Ac\.yaml:3: this can never work\Z"):
        one(db, "/odd/**", "refuses").read("/odd/a")
    with (
        kernel(db, ProviderRule("/odd/**", "refuses")) as in_python,
        pytest.raises(Odd, match=r"\Athis can never work\Z"),
    ):
        in_python.session("akashi").read("/odd/a")


def test_a_stat_or_a_listing_of_the_wrong_type_is_the_handlers_fault(db: Path):
    class Odd(Say):
        names: object = []

        def stat(self, path, context):
            return {"size": 3}

        def list(self, path, context):
            return Odd.names

    register_handler("odd", Odd)
    session = one(db, "/odd/**", "odd")
    with pytest.raises(
        PluginError, match=r"'odd' of c.yaml:3 returned dict; stat\(\) returns a Stat or None"
    ):
        session.stat("/odd/a")
    stat = Stat(0, Kind.FILE, 0o644, "", "", 3, 0, 1, 2, 3)
    wrong = ([b"a"], [None], 7, ["a/b"], ["."], [".."], [""], ["/"])
    for names in (*wrong, [stat], [("a", None)], [("a",)], [(b"a", stat)], [("a/b", stat)], [["a", stat]]):
        Odd.names = names
        with pytest.raises(PluginError, match=r"the handler 'odd' of c.yaml:3"):
            session.list("/odd")


def test_a_listing_may_give_stats(db: Path):
    stat = Stat(0, Kind.FILE, 0o644, "redis", "", 3, 0, 1, 2, 3)
    directory = stat._replace(kind=Kind.DIRECTORY)

    class Listing(Say):
        def list(self, path, context):
            yield from [("a", stat), ("b", directory), ("c/", directory), "d", "e/"]

    register_handler("listing", Listing)
    listed = one(db, "/l/**", "listing").list("/l")
    assert [entry.path for entry in listed] == ["/l/a", "/l/b", "/l/c", "/l/d", "/l/e"]
    plain = [synthetic_stat(Kind.FILE), synthetic_stat(Kind.DIRECTORY)]
    assert [entry.stat for entry in listed] == [stat, directory, directory, *plain]


# --- what a handler is told ----------------------------------------------------------------------


def test_a_handler_is_told_who_asks_for_what(db: Path):
    session = one(db, "/repos/{owner}/{name}/**")
    with pytest.raises(NotFound):
        session.read("/repos/ann//avm/./docs/局势 1%2F.md")
    (made,) = Dict.made
    ((_, path, context),) = made.calls
    assert path == "/repos/ann/avm/docs/局势 1%2F.md"
    assert dict(context.parameters) == {"owner": "ann", "name": "avm"}
    assert context.relative == "ann/avm/docs/局势 1%2F.md"
    assert (context.principal.agent, dict(context.query)) == ("akashi", {})
    assert (context.offset, context.size) == (0, None)
    assert 0 < context.remaining() <= PROVIDER_SECONDS
    context.session.write("/private/through-the-session", "x")
    assert session.read("/private/through-the-session").text == "x"


def test_a_question_mark_is_part_of_the_name_that_a_handler_gets(db: Path):
    session = one(db, "/d/**", contents={"/d/what?.md": "x", "/d/a:b?c=d": "y"})
    assert session.read("/d/what?.md").text == "x"
    assert session.read("/d/a:b?c=d").text == "y"


def test_one_instance_serves_a_rule_and_is_made_when_it_is_first_needed(db: Path):
    with kernel(db, rule("/a/{x}", contents={"/a/1": "x"}), rule("/b/{x}", contents={"/b/1": "y"})) as opened:
        session = opened.session()
        session.list("/")
        session.write("/memory/a", "x")
        assert Dict.made == []
        for _ in range(3):
            assert session.read("/a/1").text == "x"
        assert len(Dict.made) == 1
        assert session.read("/b/1").text == "y"
        assert len(Dict.made) == 2
    assert [made.closed for made in Dict.made] == [1, 1]


def test_threads_that_ask_at_once_share_one_instance(db: Path):
    class Slow(Dict):
        def __init__(self, config=None):
            super().__init__(config)
            time.sleep(0.05)

    register_handler("slow", Slow)
    session = one(db, "/slow/{x}", "slow", contents={"/slow/a": "1"})
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(session.read("/slow/a").text)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["1"] * 8
    assert len(Dict.made) == 1


def test_the_first_rule_that_matches_serves(db: Path):
    rules = (
        rule("/d/a", contents={"/d/a": "first"}),
        rule("/d/*", contents={"/d/a": "second", "/d/b": "second"}),
    )
    with kernel(db, *rules) as opened:
        session = opened.session()
        assert [session.read(path).text for path in ("/d/a", "/d/b")] == ["first", "second"]


# --- configuration -------------------------------------------------------------------------------


def test_parameters_and_variables_are_filled_in_once(db: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN", "${symbol} $${symbol} ${HOME}")
    session = one(db, "/fill/{symbol}", "fill", text="${TOKEN}")
    assert session.read("/fill/NVDA").text == "${symbol} $${symbol} ${HOME}"
    session = one(db, "/fill/{symbol}", "fill", text="<${symbol}> $${symbol} ${USER}")
    assert session.read("/fill/NVDA").text == "<NVDA> ${symbol} from the environment"
    assert session.read("/fill/${USER}").text == "<${USER}> ${symbol} from the environment"
    assert session.read("/fill/${symbol}").text == "<${symbol}> ${symbol} from the environment"


def test_a_doubled_dollar_stays_where_no_parameter_is_named(db: Path):
    assert one(db, "/fill/{x}", "fill", text="$${HOME} $5").read("/fill/a").text == "${HOME} $5"


def test_a_parameter_hides_a_variable_of_its_name(db: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USER", "root")
    assert one(db, "/fill/{USER}", "fill", text="${USER}").read("/fill/ann").text == "ann"


def test_a_missing_variable_is_an_error_when_it_is_used_and_not_before(
    db: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PRICE_TOKEN", raising=False)
    session = one(db, "/fill/{x}", "fill", text="${PRICE_TOKEN}")
    session.write("/memory/a", "x")
    assert [entry.name for entry in session.list("/")] == ["fill", "memory"]
    assert session.list("/fill") == []
    with pytest.raises(ConfigError, match=r"c.yaml:3: config.text: the variable PRICE_TOKEN is not set"):
        session.read("/fill/a")
    monkeypatch.setenv("PRICE_TOKEN", "t")
    assert session.read("/fill/a").text == "t"


def test_an_unknown_handler_is_a_warning_until_it_is_used(db: Path):
    with kernel(db, rule("/x/{a}", "nosuch")) as opened:
        assert any("nosuch" in str(warning) for warning in opened.config.warnings)
        session = opened.session()
        session.write("/memory/a", "x")
        with pytest.raises(PluginError, match="there is no handler named 'nosuch'"):
            session.read("/x/a")


# --- directories that patterns make --------------------------------------------------------------


def test_static_prefixes_are_directories_that_can_be_listed_and_examined(db: Path):
    session = one(db, "/live/prices/{symbol}")
    assert [entry.name for entry in session.list("/")] == ["live", "memory"]
    assert [(entry.path, entry.is_directory) for entry in session.list("/live")] == [("/live/prices", True)]
    for path in ("/live", "/live/prices"):
        assert session.stat(path).is_directory
        assert session.stat(path).mode == 0o555
        with pytest.raises(IsADirectory):
            session.read(path)


def test_listing_asks_the_handler_for_names_and_never_reads(db: Path):
    session = one(db, "/d/**", contents={"/d/a": "1", "/d/sub/b": "2"})
    assert [(entry.name, entry.is_directory) for entry in session.list("/d")] == [("a", False), ("sub", True)]
    assert [entry.path for entry in session.list("/d/sub")] == ["/d/sub/b"]
    assert {call[0] for call in Dict.made[0].calls} == {"list"}


def test_a_handler_that_cannot_list_shows_nothing_and_is_not_called(db: Path):
    Say.answer = AssertionError("it was called")
    session = one(db, "/say/{x}", "say")
    assert session.list("/say") == []


def test_walking_calls_no_handler(db: Path):
    session = one(db, "/memory/live/{x}", contents={"/memory/live/a": "1"})
    session.write("/memory/note", "x")
    session.write("/memory/shared/note", "x")
    walked = [found.path for found in session.walk("/")]
    assert {"/memory/note", "/memory/shared/note"} <= set(walked)
    assert not any("live" in path for path in walked)
    assert session.search("anything") == []
    session.stats()
    session.tag_counts()
    assert Dict.made == []


def test_nothing_can_be_made_in_a_synthetic_directory(db: Path):
    session = one(db, "/live/prices/{symbol}", writable=True)
    session.write("/memory/a", "x")
    for attempt in (
        lambda: session.write("/live/note", "x"),
        lambda: session.write("/live/deep/note", "x"),
        lambda: session.append("/live/note", "x"),
        lambda: session.write_many([("/memory/b", "x"), ("/live/note", "x")]),
        lambda: session.mkdir("/live/dir"),
        lambda: session.rename("/memory/a", "/live/a"),
    ):
        with pytest.raises(ReadOnly, match=r"^/live is a directory of the configured providers"):
            attempt()
    assert not session.exists("/memory/b")
    assert session.exists("/memory/a")


def test_a_synthetic_directory_exists_already(db: Path):
    session = one(db, "/live/prices/{symbol}")
    with pytest.raises(Exists):
        session.mkdir("/live")
    assert session.mkdir("/live", exist_ok=True).is_directory


def test_a_provider_inside_the_memory_does_not_make_the_memory_read_only(db: Path):
    session = one(db, "/memory/shared/live/{x}", contents={"/memory/shared/live/a": "1"})
    for path in ("/memory/note", "/memory/shared/note", "/memory/shared/dir/note", "/shared/b"):
        session.write(path, "x")
        assert session.read(path).text == "x"
    assert session.mkdir("/memory/shared", exist_ok=True).is_directory
    with pytest.raises(ReadOnly):
        session.write("/memory/shared/live/x/y", "x")
    assert [entry.name for entry in session.list("/memory/shared")] == ["b", "dir", "live", "note"]
    assert session.read("/shared/live/a").text == "1"


def test_what_a_provider_lists_and_what_the_store_has_are_one_listing_in_order(db: Path):
    before = Kernel(Config(), db).session("akashi")
    for name in ("b", "d", "z"):
        before.write(f"/mixed/{name}", name)
    session = one(db, "/mixed/{x}", contents={"/mixed/a": "1", "/mixed/d": "provider", "/mixed/é": "2"})
    listed = session.list("/mixed")
    assert [entry.name for entry in listed] == ["a", "b", "d", "z", "é"]
    assert session.read("/mixed/d").text == "provider"
    paged = []
    while page := session.list("/mixed", limit=2, after=paged[-1].name if paged else ""):
        paged += page
    assert paged == listed


# --- who may -------------------------------------------------------------------------------------


def test_what_providers_serve_is_read_only_unless_a_rule_says_otherwise(db: Path):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    for attempt in (
        lambda: session.write("/d/a", "2"),
        lambda: session.append("/d/a", "2"),
        lambda: session.delete("/d/a"),
        lambda: session.rename("/d/a", "/d/b"),
    ):
        with pytest.raises(Denied, match="what providers serve is read-only unless a rule says rw"):
            attempt()
    assert session.read("/d/a").text == "1"


def test_a_rule_opens_a_provider_for_writing(db: Path):
    session = one(db, "/d/**", writable=True)
    session.write("/d/a", "1")
    session.append("/d/a", "2")
    session.rename("/d/a", "/d/b")
    assert session.read("/d/b").text == "12"
    assert not session.exists("/d/a")
    assert session.delete("/d/b") == 1
    assert not session.exists("/d/b")


def test_what_a_handler_cannot_do_is_said_even_where_a_rule_allows_it(db: Path):
    session = one(db, "/say/{x}", "say", writable=True)
    Say.answer = b"x"
    for attempt, error in (
        (lambda: session.write("/say/a", "x"), ReadOnly),
        (lambda: session.delete("/say/a"), ReadOnly),
        (lambda: session.append("/say/a", "x"), Unsupported),
        (lambda: session.rename("/say/a", "/say/b"), Unsupported),
    ):
        with pytest.raises(error, match=r"^/say/a: "):
            attempt()


def test_a_rule_may_hide_a_provider(db: Path):
    hidden = (PermissionRule("/d/**", "none"), PermissionRule("/**", "rw"))
    with kernel(db, rule("/d/x/{y}", contents={"/d/x/a": "1"}), permissions=hidden) as opened:
        session = opened.session()
        with pytest.raises(NotFound, match=r"^/d/x/a: not found$"):
            session.read("/d/x/a")
        assert not session.exists("/d/x/a")
        with pytest.raises(NotFound):
            session.list("/d/x")
        assert Dict.made == []


def test_what_a_provider_serves_in_a_private_space_is_its_agents_alone(db: Path):
    feed = rule("/memory/private/akashi/feed/{x}", contents={"/memory/private/akashi/feed/a": "1"})
    with kernel(db, feed, permissions=WRITABLE) as opened:
        assert opened.session("akashi").read("/private/feed/a").text == "1"
        stranger = opened.session("kuro")
        for path in (
            "/memory/private/akashi/feed/a",
            "/memory/private/akashi/feed",
            "/memory/private/akashi",
        ):
            assert not stranger.exists(path)
        with pytest.raises(NotFound):
            stranger.write("/memory/private/akashi/feed/a", "x")
        assert "akashi" not in [entry.name for entry in stranger.list("/memory/private")]


def test_a_providers_path_has_no_metadata_links_shares_or_modes(db: Path):
    session = one(db, "/d/{x}", writable=True, contents={"/d/a": "1"})
    session.write("/memory/a", "x")
    for attempt in (
        lambda: session.write("/d/a", "2", {"title": "x"}),
        lambda: session.write("/d/a", "2", base_version=1),
        lambda: session.write_many([("/d/a", "2")]),
        lambda: session.update_meta("/d/a", {"title": "x"}),
        lambda: session.link("/d/a", "/memory/a"),
        lambda: session.link("/memory/a", "/d/a"),
        lambda: session.share("/d/a", "kuro"),
        lambda: session.set_mode("/d/a", 0o600),
        lambda: session.mkdir("/d/b"),
        lambda: session.links("/d/a"),
    ):
        with pytest.raises(Unsupported):
            attempt()
    assert Dict.made == [] or {call[0] for call in Dict.made[0].calls} <= {"read", "list"}
    assert session.read("/d/a").text == "1"


# --- moving --------------------------------------------------------------------------------------


def test_nothing_moves_across_handlers(db: Path):
    first, second = rule("/a/{x}", contents={"/a/1": "x"}), rule("/b/{x}")
    with kernel(db, first, second, permissions=WRITABLE) as opened:
        session = opened.session()
        session.write("/memory/n", "x")
        for old, new in (("/a/1", "/b/1"), ("/a/1", "/memory/1"), ("/memory/n", "/a/n")):
            with pytest.raises(CrossHandler, match="served by different handlers; copy instead") as caught:
                session.rename(old, new)
            assert caught.value.errno == errno.EXDEV
        assert session.read("/a/1").text == session.read("/memory/n").text == "x"


def test_a_virtual_node_of_a_providers_path_does_not_move_its_base(db: Path):
    session = one(db, "/d/{x}", writable=True, contents={"/d/a": "1"})
    for old, new in (("/d/a:meta", "/d/b"), ("/d/a", "/d/b:meta"), ("/d/a:meta", "/d/b:meta")):
        with pytest.raises((Invalid, Unsupported)):
            session.rename(old, new)
    assert session.read("/d/a").text == "1"


def test_suffixes_work_on_what_providers_serve_as_far_as_they_make_sense(db: Path):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    assert session.read("/d/a:data").text == "1"
    assert session.read("/d/a:path").text == "/d/a\n"
    with pytest.raises(Unsupported):
        session.read("/d/a:tags")
    with pytest.raises(Denied):
        session.write("/d/a:data", "2")


def names_of(info: str) -> list[str]:
    return [line.split("\t")[0] for line in info.splitlines()]


def test_info_shows_of_what_providers_serve_only_the_suffixes_that_work_there(db: Path):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    assert names_of(session.read("/d/a:info").text) == [":access", ":data", ":inbox", ":info", ":path"]
    assert names_of(session.read("/d:info").text) == [":access", ":inbox", ":info", ":list", ":path"]
    assert {":search", ":stats", ":tags"} < set(names_of(session.read("/memory:info").text))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a:tags",
            "a:meta",
            "a:history",
            "a:delta",
            "a:mark",
            "a:diff",
            "a:at?version=1",
            "a:blame",
            "a:links",
        ),
        *(
            "a:shared",
            "a:ttl",
            ":search?q=1",
            ":recall?q=1",
            ":changes",
            ":stats",
            ":list?q=1",
            ":list?tag=1",
        ),
    ],
)
def test_a_suffix_for_notes_says_so_of_what_providers_serve(db: Path, name: str):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    path = f"/d/{name}".replace("/:", ":")
    suffix = name.partition("?")[0].lstrip("a")
    with pytest.raises(
        Unsupported, match=f"served by a provider, and .*'{suffix}' is only for notes of the store"
    ):
        session.read(path)


def test_a_directory_of_the_store_that_holds_providers_is_searched(db: Path):
    session = one(db, "/memory/live/{x}", contents={"/memory/live/a": "quokka"})
    session.write("/memory/note", "quokka")
    assert "/memory/note" in session.read("/memory:search?q=quokka").text
    with pytest.raises(Unsupported, match="only for notes"):
        session.read("/memory/live:search?q=quokka")


def test_the_access_to_a_directory_of_providers_is_what_the_rules_say(db: Path):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    report = {each.agent: each for each in session.access("/d").agents}
    assert report[session.principal.agent].allowed == ("read",)
    assert "read-only unless a rule says rw" in report[session.principal.agent].reason
    with pytest.raises(NotFound):
        session.access("/e")


def test_a_directory_of_providers_cannot_be_removed(db: Path):
    session = one(db, "/d/{x}", contents={"/d/a": "1"})
    for recursive in (False, True):
        with pytest.raises(ReadOnly, match="a directory of the configured providers"):
            session.delete("/d", recursive=recursive)


# --- mounting from Python ------------------------------------------------------------------------


def test_avm_mounts_what_providers_it_is_given(db: Path):
    mounts = [{"pattern": "/d/{x}", "handler": "dict", "config": {"contents": {"/d/a": "1"}}, "ttl": 5}]
    with AVM(db=db, providers=mounts) as memory:
        assert memory.read("/d/a").text == "1"


@pytest.mark.parametrize(
    "wrong",
    [{}, {"pattern": "/d"}, {"handler": "dict"}, {"pattern": "/d", "handler": "dict", "url": "x"}],
)
def test_a_provider_that_is_not_one_is_refused(db: Path, wrong: dict):
    with pytest.raises(
        Invalid, match="a provider has 'pattern', 'handler' and optionally 'config', 'ttl' and 'timeout'"
    ):
        AVM(db=db, providers=[wrong])


def test_a_handler_is_mounted_later_and_for_every_session(db: Path):
    with Kernel(Config(), db) as opened:
        session = opened.session()
        session.write("/d/a", "stored")
        assert session.read("/d/a").text == "stored"
        opened.provide("/d/{x}", "dict", {"contents": {"/d/a": "served"}})
        assert session.read("/d/a").text == "served"
        assert opened.session().read("/d/a").text == "served"
        with pytest.raises(Denied):
            session.write("/d/a", "x")


def test_an_elevated_session_hears_of_what_is_mounted_later(db: Path):
    config = Config(users={"akashi": User("akashi", capabilities=frozenset({"write", "sudo"}))})
    with Kernel(config, db) as opened:
        session = opened.session("akashi")
        session.write("/d/a", "stored")
        elevated = session.elevated()
        assert elevated.read("/d/a").text == "stored"
        opened.provide("/d/{x}", "dict", {"contents": {"/d/a": "served"}})
        assert elevated.read("/d/a").text == "served"


@pytest.mark.parametrize(
    ("pattern", "handler", "error"),
    [("relative", "dict", Invalid), ("/{x}/{x}", "dict", Invalid), ("/d/{x}", "nosuch", PluginError)],
)
def test_a_mount_that_fails_changes_nothing(db: Path, pattern: str, handler: str, error: type[Exception]):
    with AVM(db=db) as memory:
        with pytest.raises(error):
            memory.provide(pattern, handler)
        memory.provide("/d/{x}", "dict", {"contents": {"/d/a": "1"}})
        assert memory.read("/d/a").text == "1"
        assert [entry.name for entry in memory.list("/")] == ["d", "memory"]


def test_mounts_come_in_order_before_the_configurations_rules(db: Path):
    with Kernel(
        Config(providers=(rule("/d/**", contents={"/d/a": "config", "/d/b": "config", "/d/c": "config"}),)),
        db,
        [rule("/d/a", contents={"/d/a": "given"})],
    ) as opened:
        opened.provide("/d/{x}", "dict", {"contents": {"/d/a": "later", "/d/b": "later"}})
        session = opened.session()
        assert [session.read(path).text for path in ("/d/a", "/d/b")] == ["given", "later"]


# --- reloading -----------------------------------------------------------------------------------


def test_reloading_swaps_everything_at_once_and_closes_the_old_handlers(tmp_path: Path, db: Path):
    file = tmp_path / "c.yaml"
    one_rule = "providers: [{{pattern: '/d/{{x}}', handler: dict, config: {{contents: {{/d/a: '{}'}}}}}}]\n"
    file.write_text(one_rule.format("old"))
    with Kernel(file, db) as opened:
        session = opened.session()
        assert session.read("/d/a").text == "old"
        file.write_text(one_rule.format("new") + "permissions: [{pattern: '/d/*', access: rw}]\n")
        opened.reload()
        assert session.read("/d/a").text == "new"
        session.write("/d/a", "written")
        assert [made.closed for made in Dict.made] == [1, 0]


@pytest.mark.parametrize(
    "broken",
    [
        "providers: [",
        "providers: [{pattern: relative, handler: dict}]",
        "providers: [{pattern: '/d/{x}'}]",
        "permissions: [{pattern: '/**', access: all}]",
    ],
)
def test_a_configuration_that_cannot_be_read_leaves_the_old_one_in_force(
    tmp_path: Path, db: Path, broken: str
):
    file = tmp_path / "c.yaml"
    file.write_text("providers: [{pattern: '/d/{x}', handler: dict, config: {contents: {/d/a: '1'}}}]\n")
    with Kernel(file, db) as opened:
        session = opened.session()
        assert session.read("/d/a").text == "1"
        file.write_text(broken)
        with pytest.raises((ConfigError, Invalid)):
            opened.reload()
        assert session.read("/d/a").text == "1"
        assert Dict.made[0].closed == 0
        with pytest.raises((ConfigError, Invalid)):
            opened.provide("/e/{x}", "dict")
        file.write_text("{}")
        opened.reload()
        assert not session.exists("/d/a")
        assert not session.exists("/e")


def test_a_directory_of_providers_is_no_file(db: Path):
    session = one(db, "/live/prices/{symbol}", writable=True)
    for path in ("/live", "/live/prices"):
        with pytest.raises(IsADirectory, match="is a directory of the configured providers"):
            session.write(path, "x")
    session.write("/memory/a", "x")
    with pytest.raises((IsADirectory, ReadOnly)):
        session.rename("/memory/a", "/live")
    assert session.read("/memory/a").text == "x"
    assert [entry.name for entry in session.list("/live")] == ["prices"]


def test_only_what_a_pattern_matches_is_listed(db: Path):
    contents = {"/notes/a.md": "1", "/notes/b.txt": "2", "/notes/sub/c.md": "3"}
    session = one(db, "/notes/{name}.md", contents=contents)
    assert [entry.name for entry in session.list("/notes")] == ["a.md"]
    session = one(db, "/notes/**", contents=contents)
    assert [entry.name for entry in session.list("/notes")] == ["a.md", "b.txt", "sub"]
    assert [entry.name for entry in session.list("/notes/sub")] == ["c.md"]
