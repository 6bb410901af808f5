"""Tokens: found by what is shown once, never by what is stored; their ends and their last uses."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from pacifica.notifications import orm
from pacifica.notifications.errors import Refused
from pacifica.notifications.orm import Token

pytestmark = pytest.mark.usefixtures("database")


def test_a_token_is_found_by_its_text_alone() -> None:
    """What is shown is random and recognised by its prefix; what is stored is of no use to who reads it."""
    text, row = Token.make("ingest", "metadata", "producer", ["http://metadata."], ["org.pacifica.", "x"], 30)
    other, _ = Token.make("Ingest", "alice", "user")

    found = Token.known(text)

    assert re.fullmatch(r"pnt_[A-Za-z0-9_-]{43}", text)
    assert found is not None
    assert (found[0].name, found[0].user, found[0].role, found[1]) == ("ingest", "metadata", "producer", False)
    assert found[0].beginnings == (("http://metadata.",), ("org.pacifica.", "x"))
    assert row.expires - row.created == timedelta(days=30)
    assert text not in str([each.__data__ for each in Token.all_of()])
    assert [Token.known(each) for each in (row.digest, text[:-1], text.swapcase(), "", "é")] == [None] * 5
    assert Token.known(other)[0].name == "Ingest"  # type: ignore[index]


def test_a_name_is_given_once() -> None:
    """A second token of a name is refused, and leaves the first as it is; a revoked one frees its name."""
    first, _ = Token.make("one", "alice", "user")

    with pytest.raises(Refused, match="there is a token one already"):
        Token.make("one", "mallory", "admin")

    assert Token.known(first)[0].user == "alice"  # type: ignore[index]
    assert [Token.revoke("one"), Token.revoke("one")] == [True, False]
    assert Token.known(first) is None
    second, _ = Token.make("one", "bob", "user")
    assert Token.known(second) is not None
    assert Token.known(first) is None


def test_a_token_ends_when_it_expires() -> None:
    """A token is of use until its time by the database's clock, and one without an end for ever."""
    text, _ = Token.make("short", "alice", "user", days=1)
    lasting, row = Token.make("lasting", "alice", "user", days=None)

    assert row.expires is None
    assert Token.known(text)[1] is False  # type: ignore[index]
    Token.update(expires=orm.now()).where(Token.name == "short").execute()
    assert Token.known(text)[1] is True  # type: ignore[index]
    assert Token.known(lasting)[1] is False  # type: ignore[index]


def test_uses_are_noted_once_a_minute() -> None:
    """The first use is noted, one soon after it is not written again, a later one is; an expired token's never."""
    text, row = Token.make("busy", "alice", "user")
    assert row.used is None

    Token.known(text)
    first = Token.get_by_id("busy").used
    Token.known(text)
    soon = Token.get_by_id("busy").used
    Token.update(used=first - timedelta(seconds=61)).execute()
    Token.known(text)
    later = Token.get_by_id("busy").used
    Token.update(used=None, expires=first).execute()
    Token.known(text)

    assert first is not None
    assert (soon, later >= first) == (first, True)
    assert Token.get_by_id("busy").used is None
