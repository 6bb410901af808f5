"""Values of `ce-` headers: CloudEvents HTTP binding 1.0.2, section 3.1.3.2."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from pacifica.notifications.cloudevents import headers
from tests.support.values import texts

VECTORS = {
    "Euro € 😀": "Euro%20%E2%82%AC%20%F0%9F%98%80",
    "100%": "100%25",
    'a "q"': "a%20%22q%22",
    "%20": "%2520",
    "a\r\nX-Evil: 1": "a%0D%0AX-Evil:%201",
    "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~": "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "": "",
}


@pytest.mark.parametrize(("text", "value"), VECTORS.items(), ids=[ascii(text) for text in VECTORS])
def test_encoded(text: str, value: str) -> None:
    """Space, quotation mark, percent sign and all outside U+0021 to U+007E are percent-encoded in upper case."""
    assert headers.encode(text) == value
    assert headers.decode(value) == text


@given(text=texts)
def test_what_is_encoded_comes_back(text: str) -> None:
    """Any text comes back from its header, which has visible ASCII only."""
    value = headers.encode(text)

    assert re.fullmatch("[!-~]*", value)
    assert headers.decode(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("%e2%82%ac", "€"),
        ("%41%2d", "A-"),
        ("%2520", "%20"),
        ('"a \\"q\\""', 'a "q"'),
        ('"a%20b\\\\"', "a b\\"),
        ('""', ""),
        ("  a b\t", "a b"),
        ("a+b", "a+b"),
        ("€".encode().decode("latin-1"), "€"),
    ],
)
def test_decoded(value: str, text: str) -> None:
    """A quoted string is unquoted, then one round of percent-decoding is done; lower case and needless escapes pass."""
    assert headers.decode(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "%C0%A0",
        "%E2%82",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%FF",
        "%80",
        "\xfc",
        "%",
        "a%2",
        "%%20",
        "%zz",
        '"a',
        '"a"b',
        '"\\"',
    ],
)
def test_refused(value: str) -> None:
    """Overlong forms, surrogates, cut characters, bare percent signs and quotes that do not end are refused."""
    with pytest.raises(ValueError, match=r"UTF-8|%25|%22"):
        headers.decode(value)
