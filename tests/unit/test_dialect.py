"""What this service and jsonpath2 think of an expression, side by side."""

from __future__ import annotations

import logging

import pytest

from pacifica.notifications.errors import InvalidSubscription
from pacifica.notifications.rest import dialect


def test_what_both_take_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    """An expression of the dialect is taken in silence."""
    dialect.settle('$.data[*][?(@.value = "a" and @.n < 3)]')
    dialect.settle("data.name")

    assert caplog.records == []


def test_what_jsonpath2_alone_refuses_is_refused_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Where jsonpath2 takes no expression that is taken here, its maker is told, and the operator sees which it is."""
    with pytest.raises(InvalidSubscription) as caught:
        dialect.settle("$.odd", accepts=lambda _text: False)

    assert caught.value.faults.keys() == {"/jsonpath"}
    assert "jsonpath2" in caught.value.faults["/jsonpath"]
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        "jsonpath.disputed ours=taken jsonpath2=refused jsonpath='$.odd'",
    )


def test_what_is_refused_here_alone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Where jsonpath2 takes an expression whose syntax is refused here, the operator sees it."""
    dialect.note("$.a &&", accepts=lambda _text: True)

    (record,) = caplog.records
    assert record.getMessage().startswith("jsonpath.disputed ours=refused jsonpath2=taken jsonpath='$.a &&' error=")


@pytest.mark.parametrize("text", ["$[", "", "$.a == 1", "$..a..b..c..d", "$[" + "1," * 500 + "1]"])
def test_what_both_refuse_and_what_a_bound_forbids_is_no_dispute(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake of its maker, and an expression that is only too large, are nothing that an operator has to see."""
    dialect.note(text)

    assert caplog.records == []
