"""What is found in code of each language: known files, broken ones, and any text at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avm_handlers.indexing.languages import (
    GO,
    JAVASCRIPT,
    PYTHON,
    RUST,
    TSX,
    TYPESCRIPT,
    Language,
    language_of,
)
from avm_handlers.indexing.signatures import Signature, signatures


def found(language: Language, source: str) -> list[str]:
    return [
        f"{line} {kind} {name}: {text}" for line, kind, name, text in signatures(language, source.encode())
    ]


KNOWN = {
    "python": (
        PYTHON,
        """
type Table[T] = dict[str, T]

@decorated(
    with_arguments=True,
)
async def fetch(
    url: str,  # where
    *,
    timeout: float = 1.0,
) -> bytes:
    def hidden(): ...
    return b""

class Store[T](Base, metaclass=Meta):
    limit = 3

    @property
    def size(self) -> int:
        return 0

    class Inner:
        def deep(self): ...

if TYPE_CHECKING:
    def only_for_types(): ...
else:
    try:
        class Fallback: pass
    except ImportError:
        def 局势(): ...
""",
        [
            "2 type Table: type Table[T] = dict[str, T]",
            "7 function fetch: async def fetch( url: str, # where *, timeout: float = 1.0, ) -> bytes",
            "15 class Store: class Store[T](Base, metaclass=Meta)",
            "19 method Store.size: def size(self) -> int",
            "22 class Store.Inner: class Inner",
            "23 method Store.Inner.deep: def deep(self)",
            "26 function only_for_types: def only_for_types()",
            "29 class Fallback: class Fallback",
            "31 function 局势: def 局势()",
        ],
    ),
    "javascript": (
        JAVASCRIPT,
        """
export default function (a) { function hidden() {} }
export const double = async (x) => x * 2, both = function* (y) {};
const notes = [1, 2], made = make(() => 1);
class Cart extends Base {
  static #total = () => 0;
  constructor(items) { super(); }
  get size() { return 1; }
  async *[Symbol.iterator]() {}
  count = 3;
}
function* numbers(from, { to = 3 } = {}) {}
exports.parse = function (text) {};
Cart.prototype.clear = () => {};
module.exports = { open(path) {}, close: (handle) => {}, version: 1 };
export const Page = class { render() { return <div onClick={() => 1} />; } };
""",
        [
            "2 function default: export default function (a)",
            "3 function double: double = async (x) =>",
            "3 function both: both = function* (y)",
            "5 class Cart: class Cart extends Base",
            "6 method Cart.#total: static #total = () =>",
            "7 method Cart.constructor: constructor(items)",
            "8 method Cart.size: get size()",
            "9 method Cart.[Symbol.iterator]: async *[Symbol.iterator]()",
            "12 function numbers: function* numbers(from, { to = 3 } = {})",
            "13 function exports.parse: exports.parse = function (text)",
            "14 function Cart.prototype.clear: Cart.prototype.clear = () =>",
            "15 method open: open(path)",
            "15 function close: close: (handle) =>",
            "16 class Page: Page = class",
            "16 method Page.render: render()",
        ],
    ),
    "typescript": (
        TYPESCRIPT,
        """
export interface Shape extends Named { area(scale: number): number; readonly name: string }
export type Pair<T> = [T, T];
export enum Colour { Red, Green }
@injectable()
export abstract class Box<T> implements Shape {
  constructor(private readonly side: number) {}
  abstract open(): T;
  private handler = (event: Event): void => {};
}
declare function overloaded(a: string): void;
namespace Geometry { export function turn(by: number): void {} }
declare module "other" { export function q(): void }
function identity<T extends object>(value: T): T { return value }
""",
        [
            "2 interface Shape: interface Shape extends Named",
            "2 method Shape.area: area(scale: number): number",
            "3 type Pair: type Pair<T> = [T, T]",
            "4 enum Colour: enum Colour",
            "6 class Box: abstract class Box<T> implements Shape",
            "7 method Box.constructor: constructor(private readonly side: number)",
            "8 method Box.open: abstract open(): T",
            "9 method Box.handler: private handler = (event: Event): void =>",
            "11 function overloaded: function overloaded(a: string): void",
            "12 namespace Geometry: namespace Geometry",
            "12 function Geometry.turn: function turn(by: number): void",
            '13 namespace "other": module "other"',
            '13 function "other".q: function q(): void',
            "14 function identity: function identity<T extends object>(value: T): T",
        ],
    ),
    "tsx": (
        TSX,
        "export const View = (props: Props) => <div>{props.name}</div>;\n"
        "class Page extends Component<Props> { render() {} }\n",
        [
            "1 function View: View = (props: Props) =>",
            "2 class Page: class Page extends Component<Props>",
            "2 method Page.render: render()",
        ],
    ),
    "go": (
        GO,
        """package shop

type Stack[T any] struct { items []T }
type (
	Reader interface { Read(p []byte) (n int, err error) }
	Alias = Stack[int]
)
type Handler func(int) error
func New[T any](size int) (*Stack[T], error) { return nil, nil }
func (s *Stack[T]) Push(item T) { func() {}() }
func (Reader2) Close() {}
""",
        [
            "3 type Stack: Stack[T any] struct",
            "5 type Reader: Reader interface",
            "5 method Reader.Read: Read(p []byte) (n int, err error)",
            "6 type Alias: Alias = Stack[int]",
            "8 type Handler: Handler func(int) error",
            "9 function New: func New[T any](size int) (*Stack[T], error)",
            "10 method Stack.Push: func (s *Stack[T]) Push(item T)",
            "11 method Reader2.Close: func (Reader2) Close()",
        ],
    ),
    "rust": (
        RUST,
        """
#[derive(Debug)]
pub struct Point<T>(pub T, T) where T: Copy;
pub struct Line { from: Point<f64> }
enum State { On, Off }
pub trait Shape: Sized { type Unit; fn area(&self) -> f64; fn name() -> String { String::new() } }
impl<T> fmt::Display for Point<T> where T: Copy { fn fmt(&self, f: &mut Formatter) -> Result { Ok(()) } }
impl Line { pub async fn draw(self) { fn hidden() {} } }
mod inner { pub(crate) fn helper<'a>(x: &'a str) -> &'a str { x } }
macro_rules! square { ($x:expr) => { $x * $x } }
extern "C" { fn abs(x: i32) -> i32; }
type Pair = (i32, i32);
""",
        [
            "3 struct Point: pub struct Point<T>(pub T, T) where T: Copy",
            "4 struct Line: pub struct Line",
            "5 enum State: enum State",
            "6 trait Shape: pub trait Shape: Sized",
            "6 type Shape.Unit: type Unit",
            "6 method Shape.area: fn area(&self) -> f64",
            "6 method Shape.name: fn name() -> String",
            "7 method Point.fmt: fn fmt(&self, f: &mut Formatter) -> Result",
            "8 method Line.draw: pub async fn draw(self)",
            "9 module inner: mod inner",
            "9 function inner.helper: pub(crate) fn helper<'a>(x: &'a str) -> &'a str",
            "10 macro square: macro_rules! square",
            "11 function abs: fn abs(x: i32) -> i32",
            "12 type Pair: type Pair = (i32, i32)",
        ],
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_file_has_its_known_signatures(name: str):
    language, source, expected = KNOWN[name]
    assert found(language, source) == expected


@pytest.mark.parametrize("name", KNOWN)
def test_what_stands_before_a_mistake_is_found_all_the_same(name: str):
    language, source, expected = KNOWN[name]
    broken = found(language, source + "\n}}} )) def class fn func ((( {{{ '\n")
    assert broken[0] == expected[0]
    assert len(set(broken) & set(expected)) > len(expected) // 2


@pytest.mark.parametrize("name", KNOWN)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_text_gives_signatures_in_the_order_of_its_lines(name: str, data: st.DataObject):
    """Pieces of a known file, cut anywhere and in any order, and any bytes between them."""
    language, known, _ = KNOWN[name]
    source = known.encode()
    cuts = st.tuples(st.integers(0, len(source)), st.integers(0, len(source))).map(
        lambda cut: source[min(cut) : max(cut)]
    )
    text = b"".join(data.draw(st.lists(st.one_of(cuts, st.binary(max_size=20)), max_size=4)))
    lines = text.count(b"\n") + 1
    last = 0
    for each in signatures(language, text):
        assert isinstance(each, Signature)
        assert 1 <= each.line <= lines
        assert each.name
        assert "\n" not in each.text
        assert len(each.text) <= 300
        assert each.line >= last
        last = each.line


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        (PYTHON, "def f(a, # one\n  b):  # helper\n    # more\n    pass", "1 function f: def f(a, # one b)"),
        (PYTHON, "class A:  # helper\n    x = 1", "1 class A: class A"),
        (JAVASCRIPT, "class A extends B /* helper */ {}", "1 class A: class A extends B"),
        (RUST, "fn f() -> u8 // helper\n{ 1 }", "1 function f: fn f() -> u8"),
    ],
)
def test_a_comment_before_a_body_is_not_in_its_signature(language: Language, source: str, expected: str):
    assert found(language, source) == [expected]


def test_windows_lines_and_a_byte_order_mark_change_nothing():
    _, source, expected = KNOWN["go"]
    assert found(GO, "\ufeff" + source.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize(
    ("language", "source"),
    [
        (PYTHON, "class A:\n" + "".join(" " * n + f"class A{n}:\n" for n in range(1, 400))),
        (JAVASCRIPT, "(" * 20_000),
        (JAVASCRIPT, "a = {b: " * 5_000),
        (RUST, "mod a { " * 5_000),
        (GO, "type A struct { b struct { " * 5_000),
        (TYPESCRIPT, "namespace a { " * 3_000 + "}" * 3_000),
    ],
    ids=["classes", "parentheses", "objects", "modules", "structs", "namespaces"],
)
def test_deep_nesting_is_no_trouble(language: Language, source: str):
    for each in signatures(language, source.encode()):
        assert len(each.name) <= 300


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b.py", "python"), ("x.PYI", "python"), ("a.test.tsx", "typescript"), ("m.mjs", "javascript"),
     ("a.go", "go"), ("lib.rs", "rust"), ("py", None), (".py", None), ("a.txt", None), ("a.py.bak", None)],
)  # fmt: skip
def test_the_ending_says_the_language(path: str, name: str | None):
    language = language_of(path)
    assert (language.name if language else None) == name
