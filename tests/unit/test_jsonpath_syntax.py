"""What is an expression and what is none, how it is read, and what is said of a mistake."""

from __future__ import annotations

from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.errors import InvalidJSONPath
from pacifica.notifications.jsonpath import oracle
from pacifica.notifications.jsonpath.syntax import (
    And,
    Call,
    Child,
    Comparison,
    Condition,
    Descent,
    Exists,
    Filter,
    Item,
    Key,
    Not,
    Or,
    Path,
    Reference,
    Slice,
    Value,
    Wildcard,
)


def name(key: str) -> Path:
    """Return the path `@.key`."""
    return Path("@", (Child((Key(key),)),))


A, B, C, D = (name(each) for each in "abcd")
ONE = Value(1)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", ()),
        ("$.a", (Child((Key("a"),)),)),
        ("a.b_1", (Child((Key("a"),)), Child((Key("b_1"),)))),
        ('$["a"]', (Child((Key("a"),)),)),
        (r'$["a\u0041\"\\"]', (Child((Key(r"a\u0041\"\\"),)),)),
        ("$.*", (Child((Wildcard(),)),)),
        ("$..a", (Descent(), Child((Key("a"),)))),
        ("$..*", (Descent(), Child((Wildcard(),)))),
        ('$..["a"]', (Descent(), Child((Key("a"),)))),
        ("$[-0,3]", (Child((Item(0), Item(3))),)),
        ("$[:]", (Child((Slice(None, None, None),)),)),
        ("$[1::]", (Child((Slice(1, None, None),)),)),
        ("$[1:-2:3]", (Child((Slice(1, -2, 3),)),)),
        ("$[@,$.a]", (Child((Reference(Path("@", ())), Reference(Path("$", (Child((Key("a"),)),))))),)),
        ("$.length()", (Child((Call("length", ()),)),)),
        ("$.length", (Child((Key("length"),)),)),
        ("$[charAt(@.a,1)]", (Child((Call("charAt", (A, ONE)),)),)),
        ("$[?(@.a)]", (Child((Filter(Exists(A)),)),)),
    ],
)
def test_steps_are_read(text: str, steps: Any) -> None:
    """Each kind of step and subscript has its value in the tree."""
    assert jsonpath.parse(text).path == Path("$", steps)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("@.a = 1", Comparison(A, "=", ONE)),
        ("1 != @.a", Comparison(ONE, "!=", A)),
        ("@.a <= @.b", Comparison(A, "<=", B)),
        ("true", Exists(Value(True))),
        ("not @.a", Not(Exists(A))),
        ("not not @.a", Exists(A)),
        ("not (not @.a)", Exists(A)),
        ("not @.a = 1", Not(Comparison(A, "=", ONE))),
        ("not @.a = 1 or @.b", Or((Not(Comparison(A, "=", ONE)), Exists(B)))),
        ("@.a or @.b and @.c", And((Or((Exists(A), Exists(B))), Exists(C)))),
        ("@.a and @.b or @.c", And((Exists(A), Or((Exists(B), Exists(C)))))),
        ("(@.a and @.b) or @.c", Or((And((Exists(A), Exists(B))), Exists(C)))),
        ("@.a and (@.b and @.c) and @.d", And((Exists(A), Exists(B), Exists(C), Exists(D)))),
        ("(((@.a)))", Exists(A)),
        (r'@.a = {"b\n": [1, "c\u0041", null, -0.5], "b\n": {}}', Comparison(A, "=", Value({"b\\n": {}}))),
        ("@.a = [1e2, -1, true, []]", Comparison(A, "=", Value([100.0, -1, True, []]))),
        ("@.a=1and@.b", And((Comparison(A, "=", ONE), Exists(B)))),
        ('not"a"', Not(Exists(Value("a")))),
    ],
)
def test_conditions_are_read(text: str, condition: Condition) -> None:
    """`or` binds tighter than `and`, `not` covers one comparison, and a chain of the same word is one condition."""
    assert jsonpath.parse(f"$[?({text})]").path == Path("$", (Child((Filter(condition),)),))


@pytest.mark.parametrize(
    "number", ["0", "-0", "1", "-1", "12", "1.0", "1e0", "1E+2", "-0.0", "1e-5", "1.5e3", "1" * 30]
)
def test_numbers_are_those_of_json(number: str) -> None:
    """A number of JSON is read as `json.loads` reads it, integers exactly."""
    value = jsonpath.parse(f"$[?({number})]").path.steps[0].subscripts[0].condition.operand.value  # type: ignore[union-attr]

    assert repr(value) == repr(eval(number))


ACCEPTED = """
$ | $.* | $..a | $..* | $..[0] | $.. a | $ .. a | $ . a | $.a ..b | $.a [0] | $.trues | $.nota | $.or_ | $._
$.length | $["or"] | $[""] | $["'"] | $["é"] | $["\\u0041"] | $["\\"\\\\\\/\\b\\f\\n\\r\\t"] | $[ "a" ] | $["a","a"]
$[*,*] | $[0] | $[-0] | $[-1] | $[99999999999999999999999999] | $[:] | $[::] | $[1::] | $[::0] | $[1 : 2 : 3]
$[1:2,3:4] | $[$] | $[@] | $[@..a] | $["a",0,1:2,*,?(@.a),$.b,@.c,length()] | $.keys().values().entries()
$..length() | $.length ( ) | $.charAt() | $.charAt(1,2) | $.charAt(@) | $.charAt(null,{},[],{"a":[1,{"b":2}]})
$.substring(1,2)[0].b | $[?(@)] | $[?($)] | $[?(1)] | $[?("")] | $[?({})] | $[?(@.a = {"a":1,"a":2})]
$[? (@.a) , ?(@.b)] | $[?(((@.a)))] | $[?(not @.a)] | $[?(not not not(@.a))] | $[?(not@.a)] | $[?(@.a=-1)]
$[?(@.a<-1)] | $[?(1and 1)] | $[?(1e5or 1)] | $[?(@.a = @.b)] | $[?([1] = @.a)] | $[?(@[?(@[?(@.a)])])]
$[?(@.a = 1e400)] | $[?(@.a = "x"or@.b)] | $[?(@=@)] | data | data.name | a1._b
"""

REFUSED = """
$. | $.. | $... | $...a | $. .a | $.5 | $.[0] | $."a" | $.."a" | $.a. | $.a.. | $$ | $ $ | $@ | $* | $a | $"a" | $(
$.a b | $.and | $.or | $.not | $.true | $.false | $.null | $.and() | $..or | or | data.not | data..name | data name
data. | @ | @.a | [0] | .a | * | $['a'] | $["a] | $["a\\x"] | $["\\u00e"] | $["\\U0041"] | $["\\'"] | $["a"a"] | $.é
$.a-b | $.a/b | ключ | $[] | $[,] | $[0,] | $[ | $[a] | $["a".b] | $["a" "b"] | $[0 1] | $[**] | $[(@.a)] | $[true]
$[length] | $[*:1] | $[1:*] | $[1.0] | $[1e0] | $[01] | $[00] | $[-01] | $[- 1] | $[+1] | $[--1] | $[1-1] | $[0x1]
$[1.5:] | $[:1.0] | $[::1e0] | $[:::] | $[0:1:2:3] | $["a":1] | $[$:1] | $.unknown() | $[unknown()] | $.Length()
$.length()() | $.length)( | $.*() | $.charAt(1,) | $.charAt(@.a = 1) | $.charAt(,) | $[?@.a] | $[?()] | $[?(@.a]
$[?(@.a) | $[?(@.a)?(@.b)] | $[?(@.a) and (@.b)] | $[?(and)] | $[?(@.a == 1)] | $[?(@.a <> 1)] | $[?(@.a =< 1)]
$[?(@.a < = 1)] | $[?(@.a ! = 1)] | $[?(!@.a)] | $[?(@.a = 1 = 2)] | $[?((@.a) = 1)] | $[?(@.a = (1))]
$[?(@.a = not 1)] | $[?(@.a && @.b)] | $[?(@.a contains 1)] | $[?(@.a =~ "x")] | $[?(@.a in [1])]
$[?(@.a AND @.b)] | $[?(NOT @.a)] | $[?(@.a = True)] | $[?(@.a = NaN)] | $[?(@.a not @.b)] | $[?(@.a <)]
$[?(@.a = 1.)] | $[?(@.a = .5)] | $[?(@.a = 1e)] | $[?(@.a = 01)] | $[?(@.a = 1e05)] | $[?(@.a = - 1)]
$[?(@.a = +1)] | $[?(@.a = [1,])] | $[?(@.a = {a:1})] | $[?(@.a = {"a":@.b})] | $[?(@.a = {1:1})]
$[?(@.a = {"a":1,})] | $[?(@.a = {"a" 1})] | $[?(trueand 1)] | $[?(nottrue)] | $[?(@.a or and @.b)] | $[?(length())]
$[?(@a)] | $[?(@.a,@.b)] | $.a = 1 | $.a] | $.a;
"""

#: Characters beside the printable ones of ASCII, in a text and between tokens.
CHARACTERS = [
    *map(chr, range(0x20)),
    "\x7f",
    "\x80",
    "\x85",
    "\xa0",
    "\u2028",
    "\u3000",
    "\ufeff",
    "\ud800",
    "😀",
    "\U0010ffff",
]


def texts(table: str) -> list[str]:
    """Return the texts of a table."""
    return [each.strip() for line in table.strip().splitlines() for each in line.split(" | ")]


def accepts(text: str) -> bool:
    """Tell whether an expression is accepted here."""
    try:
        jsonpath.parse(text)
    except InvalidJSONPath:
        return False
    return True


@pytest.mark.parametrize("text", texts(ACCEPTED))
def test_what_is_an_expression_there_is_one_here(text: str) -> None:
    """What jsonpath2 accepts is accepted."""
    assert oracle.accepts(text)
    assert accepts(text)


@pytest.mark.parametrize("text", ["", " ", *texts(REFUSED)])
def test_what_is_no_expression_there_is_none_here(text: str) -> None:
    """What jsonpath2 refuses is refused."""
    assert not oracle.accepts(text)
    assert not accepts(text)


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_a_character_may_stand_where_it_may_there(character: str) -> None:
    """White space is space, tab, CR and LF alone; a text has no control character, but any other."""
    for text in (f"${character}.a", f'$["a{character}b"]', f"$.a{character}", f'$[?(@.a = {{"{character}": 1}})]'):
        assert accepts(text) == oracle.accepts(text), ascii(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("$[?(@.a == 1)]", "equality is a single '='"),
        ("$[?(@.a = 1 && @.b = 2)]", "write 'and'"),
        ("$[?(@.a || @.b)]", "write 'or'"),
        ("$[?(!@.a)]", "write 'not'"),
        ("$[?(@.a AND @.b)]", "write 'and'"),
        ("$[?(@.a = True)]", "write 'true'"),
        ("$[?(@.a contains 1)]", "there is no 'contains'"),
        ('$[?(@.a =~ "x")]', "no regular expressions"),
        ("$['a']", "a text stands in double quotes"),
        ("$.or", r"a member of that name is written \[\"or\"\]"),
        ("not", r"a member of that name is written \[\"not\"\]"),
        ("$.a-b", r"is written \[\"a-…\"\]"),
        ("$.é", r"is written \[\"é…\"\]"),
        ("$.5", r"an item of a list is written \[5\]"),
        ("$.[0]", r"leave out the '\.'"),
        ('$."a"', r"write \[\"a\"\] without the '\.'"),
        ('$.."a"', r"write \.\.\[\"a\"\]"),
        ("$[a]", r"a member is written \[\"a\"\]"),
        ("$[01]", "no leading zeros"),
        ("$[1.5]", "a whole number"),
        ("@.a", r"begins with '\$'"),
        ("$[?@.a]", r"a filter is written \[\?\(…\)\]"),
        ('$["a]', "no closing quote"),
        ('$["a\\"]', "no closing quote"),
        ('$["a\\x"]', r"the escape \\x is none of JSON"),
        ('$["\\u12"]', "four hexadecimal digits"),
        ('$["a\tb"]', "a control character"),
        ("$.unknown()", "one of the functions length, keys"),
    ],
)
def test_a_known_mistake_is_told_its_remedy(text: str, remedy: str) -> None:
    """Whoever writes as in another dialect is told what to write in this one."""
    with pytest.raises(InvalidJSONPath, match=remedy):
        jsonpath.parse(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "line 1, column 1"),
        ("$.a b", "line 1, column 5"),
        ("$\n.a\r\n  .b[", "line 3, column 6"),
        ("$.a\n\n..", "line 3, column 3"),
        ("data.not", "line 1, column 6"),
        ("or", "line 1, column 1"),
        ('$["é", "\U0001f600"x]', "line 1, column 11"),
        ("$[?(@.a == 1 && @.b)]", "line 1, column 10"),
    ],
)
def test_the_first_mistake_has_its_place(text: str, place: str) -> None:
    """Line and column are those of the first mistake in the text that was sent, counted from 1."""
    with pytest.raises(InvalidJSONPath, match=place):
        jsonpath.parse(text)


@pytest.mark.parametrize("text", ["$[" + "9" * 5000 + "]", "$[?(@.a = -" + "9" * 5000 + ")]"])
def test_an_integer_that_python_does_not_convert_is_refused(text: str) -> None:
    """An integer of thousands of digits, which no event can have either, is refused as in jsonpath2."""
    with pytest.raises(InvalidJSONPath, match=r"has a number of 500\d digits"):
        jsonpath.parse(text, jsonpath.Bounds(characters=10_000))

    assert not oracle.accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "$" + ".a" * 1023,
        "$" + ".*" * 1023,
        "$" + "[0]" * 682,
        "$[?(" + "not " * 509 + "@.a)]",
        "$[?(" + "not(" * 30 + "@.a" + ")" * 30 + ")]",
        "$[?(@.a" + " and @.a" * 253 + ")]",
        "$[?(@.a" + " or @.a" * 200 + ")]",
        "$" + ".length()" * 225,
        "$" + "[?(@.a" * 15 + ")]" * 15,
        "$[?(@.a = " + "[" * 30 + "]" * 30 + ")]",
        "$" + "[@" * 16 + "]" * 16,
        "$[?(" + "(" * 30 + "@.a" + ")" * 30 + ")]",
        "$" + "[*]" * 680,
        "$[?(@" + ".*" * 1000 + ")]",
    ],
)
def test_the_longest_expressions_work(text: str) -> None:
    """Whatever is within the bounds is read and tried, also on a deep event, and never recurses too deep."""
    event: Any = 1
    for _ in range(1500):
        event = {"a": event}
    expression = jsonpath.parse(text)

    assert jsonpath.find(expression, event) in (True, False)
    assert jsonpath.find(expression, [[[{"a": [1]}]]]) in (True, False)


def test_bounds_without_a_limit_are_a_refusal_at_worst() -> None:
    """Who allows any nesting gets a refusal, not a RecursionError."""
    bounds = jsonpath.Bounds(characters=10**6, nesting=10**6)

    with pytest.raises(InvalidJSONPath, match="is nested too deep"):
        jsonpath.parse("$[?(" + "(" * 10**5, bounds)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("$", 1),
        ("$[0,1][2,3].a", 4),
        ("$[?(@.a or @.b or @.c)]", 3),
        ('$[?(@.a = 1 or @.a = 2 or @.a = "3" or 4 = @.a)]', 1),
        ("$[?(@.a = 1 or @.b = 2 or @.a = 3)]", 2),
        ("$[?(@.a or @.b and @.c or @.d)]", 4),
        ("$[?(not (@.a and @.b))]", 2),
        ("$[?(not (@.a or @.b))]", 1),
        ("$[?(not (@.a = 1 and @.a = 2))]", 2),
        ("$[?(@.x[?(@.a or @.b)] = 1)]", 2),
        ("$[?(not @.x[?(@.a or @.b)] = 1)]", 1),
        ("$[?(@.x[0,1])][0,1]", 4),
        ("$[$.x[0,1]]", 2),
    ],
)
def test_alternatives_are_counted(text: str, count: int) -> None:
    """Alternatives are the expressions without `or` and union that say the same; equalities of one path are one."""
    assert jsonpath.alternatives(jsonpath.parse(text).path) == count
