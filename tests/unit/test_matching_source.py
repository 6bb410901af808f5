"""The code that is made of expressions: what it looks like, and that no expression can say anything in it."""

from __future__ import annotations

import ast
import builtins
from typing import Any

import pytest

from pacifica.notifications import jsonpath
from pacifica.notifications.matching import Index, show

#: Names that would end a literal, a line or an expression, if they stood in the code as they are.
NAMES = [
    '"]; import os', "'); import os; ('", "'''", '"""', "\\", "\\\\", "\\'", "a\\nb", "#", "{0}", "{x}", "%s", "\u2028",
    "\x7f", "\x85", "é", "ключ", "😀", "\ud800", "__class__", "item", "run", "return", "a\\u0041", "') or True or ('",
]  # fmt: skip
PLACES = ['$["{}"]', '$..["{}"]', '$["{}"][*]["{}"]', '$[?(@["{}"] = "x")]', '$.data[*][?(@["{}"]["{}"] = "x")]',
    '$.data[*][?(@["{}"] > 5)]', '$.data[*][?(@["{}"] != "{}")]', '$[?(@["{}"] = "{}")].data[*][?(@.a = "{}")]',
    '$.data[*][?(@.b[*]["{}"] = "{}")]',
]  # fmt: skip


def written(name: str) -> str:
    """Give a name as it may stand between quotes."""
    return name.replace('"', '\\"') if "\\" not in name else name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_no_name_and_no_literal_breaks_out(name: str, place: str) -> None:
    """Whatever stands between quotes, the code is the same but for plain literals, and finds what it should."""
    text = place.replace("{}", written(name))
    try:
        expression = jsonpath.parse(text)
    except ValueError:
        return
    raw = written(name)
    made = Index()
    made.add("key", text)
    plain = ast.dump(_without_texts(show(place.replace("{}", "plain"))))

    for event in _events(raw):
        assert made.match(event) == (["key"] if jsonpath.find(expression, event) else [])
    shown = show(text)
    assert shown.isascii()
    assert ast.dump(_without_texts(shown)) == plain


def _events(name: str) -> list[Any]:
    inner: list[Any] = ["x", 9, {name: "x"}, [{name: name}], name]
    return [
        {name: value, "data": [{name: value, "a": name, "b": [{name: name}]}, {name: {name: "x"}}]} for value in inner
    ]


def _without_texts(source: str) -> ast.AST:
    """Give the code with all texts in it replaced by one."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = "text"
    return tree


def test_the_code_of_a_shape_can_be_read() -> None:
    """The loop, its guard and the tuple that is looked up are shown; literals are not, for they are in the tables."""
    shown = show('$[?(@.eventType = "a secret")].data[*][?(@.key = "b" and @.value = 3)]')

    assert "for item in items:" in shown
    assert "value_0 = item.get('key', MISSING)" in shown
    assert "hit = table((value_0, value_1, token, me,))" in shown
    assert "secret" not in shown


def test_what_is_tried_singly_has_no_code() -> None:
    """Instead of code the reason is shown."""
    assert (
        show("$.a[::0]") == "# The expression has a slice with step 0, which fails on lists; it is tried by itself.\n"
    )


def test_what_is_no_expression_is_not_shown() -> None:
    """An expression that is none is an error here too."""
    with pytest.raises(ValueError, match="line 1, column"):
        show("$[")


def test_long_and_wide_expressions_make_code_that_compiles() -> None:
    """Python limits nested blocks; generated code is flat."""
    texts = [
        "$" + ".a" * 500,
        "$" + "[*]" * 300,
        "$" + "".join(f"[?(@.k{n} = {n})]" for n in range(100)),
        "$.data" + "".join(f"[*][?(@.k{n} = {n})]" for n in range(60)),
        "$[?(" + " and ".join(f"@.a{'.b' * n} = {n}" for n in range(40)) + ")]",
        "$[?(" + "not " * 300 + "@.a)]",
    ]
    made = Index(jsonpath.Bounds(characters=100_000, nesting=1000))
    for text in texts:
        made.add(text, text)
    value: Any = 1
    for _ in range(500):
        value = {"a": value}

    assert texts[0] in made.match(value)


def test_the_code_uses_nothing_but_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated code imports nothing."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError(arguments)

    made = Index()
    made.add("key", "$.data[*][?(@.a = 1)]")
    monkeypatch.setattr(builtins, "__import__", refuse)

    assert made.match({"data": [{"a": 1}]}) == ["key"]
