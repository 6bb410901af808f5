"""jsonpath2 is asked in one place, and quietly."""

from __future__ import annotations

import pytest

from pacifica.notifications.jsonpath import oracle


@pytest.mark.parametrize("text", ["$", "data.name", "$[?(@.a = 1)]", "$.charAt(0)"])
def test_it_accepts_what_is_an_expression(text: str) -> None:
    """An expression is accepted, also a bare dotted name."""
    assert oracle.accepts(text)


@pytest.mark.parametrize(
    "text", ["", "$.", "$['a']", "ключ", "$.unknown()", "$[?(" + "(" * 1000 + "@.a" + ")" * 1000 + ")]"]
)
def test_it_refuses_without_a_word(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What jsonpath2 refuses, or can't take because it recurses, is refused, and nothing is printed."""
    assert not oracle.accepts(text)
    assert capfd.readouterr() == ("", "")


def test_it_finds_what_jsonpath2_finds() -> None:
    """Whether an event has a result, and the error of step 0, are jsonpath2's."""
    assert oracle.find("data.a", {"data": {"a": None}})
    assert not oracle.find("$.data.b", {"data": {"a": None}})
    with pytest.raises(ValueError, match="must not be zero"):
        oracle.find("$[::0]", [])
