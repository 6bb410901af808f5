"""What a busy target says about when to come again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications.transfer import retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def said(*headers: str, now: datetime = NOW) -> float | None:
    """Return what an answer with these headers says."""
    lines = ["HTTP/1.1 503 Service Unavailable", *headers, ""]
    return retry_after.seconds([f"{line}\r\n".encode("latin-1") for line in lines], now)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("0060", 60),
        ("999999999999", 999_999_999_999),
        ("-5", 0),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("12 34", None),
        ("9" * 5000, None),
        ("\xb2", None),
    ],
)
def test_seconds(value: str, seconds: float | None) -> None:
    """Whole seconds are taken as they are, less than none as none; anything else says nothing."""
    assert said(f"Retry-After: {value}") == seconds


@pytest.mark.parametrize(
    "date",
    ["Sun, 01 Mar 2026 12:01:30 GMT", "Sunday, 01-Mar-26 12:01:30 GMT", "Sun Mar  1 12:01:30 2026"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_a_date_in_each_form(date: str) -> None:
    """A date counts from our clock where the answer has none of its own."""
    assert said(f"Retry-After: {date}") == 90


def test_a_date_counts_from_that_of_the_answer() -> None:
    """Where the answer says when it was made, the two clocks need not agree."""
    date, later = "Date: Sat, 01 Jan 2000 00:00:00 GMT", "Retry-After: Sat, 01 Jan 2000 00:02:00 GMT"

    assert said(date, later) == said(later, date) == 120
    assert said("date: nonsense", "retry-after: Sun, 01 Mar 2026 12:00:10 GMT") == 10


def test_a_date_that_has_passed_is_now() -> None:
    """A time in the past means no wait."""
    assert said("Retry-After: Sun, 01 Mar 2026 11:00:00 GMT") == 0


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 01 Mar 2026 12:01:30",
        "Sun, 01 Mar 2026 12:01:30 +0100",
        "Sun, 31 Feb 2026 12:01:30 GMT",
        "2026-03-01T12:01:30Z",
    ],
)
def test_what_is_no_date_says_nothing(value: str) -> None:
    """Other forms of a date, and dates that do not exist, are not guessed at."""
    assert said(f"Retry-After: {value}") is None


def test_only_the_last_answer_counts() -> None:
    """What interim answers say is not said by the answer."""
    lines = [b"HTTP/1.1 103 Early Hints\r\n", b"Retry-After: 9\r\n", b"\r\n", b"HTTP/1.1 503 Busy\r\n", b"\r\n"]

    assert retry_after.seconds(lines, NOW) is None


@given(st.lists(st.binary(max_size=60)))
def test_no_lines_are_a_mistake(lines: list[bytes]) -> None:
    """Whatever a target sends as headers, there is an answer."""
    found = retry_after.seconds([b"Retry-After: " + line for line in lines] + lines, NOW)

    assert found is None or found >= 0
