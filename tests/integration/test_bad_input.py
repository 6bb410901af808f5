"""Whatever is sent, a mistake is answered 4xx that names it, nothing is stored, and the service goes on."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support import raw
from tests.support.factories import ABSENT, make_event, make_event_1_0, make_subscription
from tests.support.watched import Watched

from .conftest import Start

JSON = "application/json"
MIB = 1024 * 1024
#: Where nobody listens; no name that would have to be looked up.
NOWHERE = "http://127.0.0.1:9/"
SECRET = "kept-secret"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Bad:
    """A request that must be refused: what is wrong with it, the status, and what the answer has to name.

    `pointer` must be among the places in `errors`; `says` must stand in `message`.
    """

    name: str
    body: bytes
    status: int = 400
    says: str = ""
    pointer: str | None = None
    content_type: str | None = JSON
    headers: raw.Headers = ()
    length: bool = True
    finish: bool = False


def says(name: str, body: object, pointer: str, words: str = "") -> Bad:
    """Return a JSON body with a fault at a place, which the message must name too."""
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Bad(name, encoded, says=words or pointer.strip("/").replace("/", "."), pointer=pointer)


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: what is refused here is refused before any database is asked."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture(scope="module")
def own(service: Watched) -> str:
    """The uuid of a subscription of alice with a secret."""
    auth = {"type": "header", "header": {"type": "Bearer", "credentials": SECRET}}
    return str(service.subscribe(target_url=NOWHERE, jsonpath="$.nothing", auth=auth)["uuid"])


# Bodies that are no JSON document of ours; the same for both endpoints.


def multipart(body: bytes) -> bytes:
    """Return a body as a browser's form uploads it."""
    return b'--x\r\nContent-Disposition: form-data; name="event"\r\n\r\n' + body + b"\r\n--x--\r\n"


def without_end(body: bytes) -> bytes:
    """Return a body in chunks of which the last is missing."""
    return raw.chunked([body])[: -len(b"0\r\n\r\n")]


CHUNKED = (("Transfer-Encoding", "chunked"),)


def documents(good: bytes) -> list[Bad]:
    """Return what is wrong with any body, made of one that is good."""
    inside = good[:-1]
    deep = 101
    return [
        Bad("empty", b"", says="empty"),
        Bad("no length", b"", says="empty", length=False),
        Bad("white space", b" \r\n\t ", says="empty"),
        Bad("word", b"hello", says="not JSON"),
        Bad("cut off", good[:-2], says="not JSON"),
        Bad("two documents", good + good, says="not JSON"),
        Bad("single quotes", good.replace(b'"', b"'"), says="not JSON"),
        Bad("trailing comma", inside + b",}", says="not JSON"),
        Bad("comment", b"/* hello */" + good, says="not JSON"),
        Bad("tab in a string", inside + b',"x":"a\tb"}', says="not JSON"),
        Bad("NUL in a string", inside + b',"x":"a\0b"}', says="not JSON"),
        Bad("NUL after the end", good + b"\0", says="not JSON"),
        Bad("bad escape", inside + rb',"x":"\x41"}', says="not JSON"),
        Bad("byte order mark", b"\xef\xbb\xbf" + good, says="byte order mark"),
        Bad("latin-1", inside + b',"x":"Z\xfcrich"}', says="UTF-8"),
        Bad("utf-16", good.decode().encode("utf-16"), says="UTF-8"),
        Bad("overlong utf-8", inside + b',"x":"\xc0\xaf"}', says="UTF-8"),
        Bad("surrogate in utf-8", inside + b',"x":"\xed\xa0\x80"}', says="UTF-8"),
        Bad("cut in a character", inside + b',"x":"\xe2\x82"}', says="UTF-8"),
        Bad("NaN", inside + b',"x":NaN}', says="NaN"),
        Bad("Infinity", inside + b',"x":[Infinity]}', says="Infinity"),
        Bad("-Infinity", inside + b',"x":-Infinity}', says="-Infinity"),
        Bad("number that becomes infinite", inside + b',"x":1e999}', says="1e999"),
        Bad("number that becomes -infinite", inside + b',"x":[-1.5E+4000]}', says="-1.5E+4000"),
        Bad("number with a plus", inside + b',"x":+1}', says="not JSON"),
        Bad("number with a zero", inside + b',"x":01}', says="not JSON"),
        Bad("hexadecimal", inside + b',"x":0x10}', says="not JSON"),
        Bad("endless integer", inside + b',"x":' + b"7" * 4301 + b"}", says="4301 digits"),
        Bad("member twice", inside + b',"x":1,"x":1}', says='"x" stands twice'),
        Bad("member twice, spelt otherwise", inside + rb',"x":1,"\u0078":2}', says='"x" stands twice'),
        Bad("member twice inside", inside + b',"x":[{"y":{"z":1,"z":null}}]}', says='"z" stands twice'),
        Bad("lone surrogate", inside + rb',"x":["\ud800"]}', says="surrogate", pointer="/x/0"),
        Bad("lone low surrogate", inside + rb',"x":"a\udc00"}', says="surrogate", pointer="/x"),
        Bad("surrogates the wrong way round", inside + rb',"x":"\ude00\ud83d"}', says="surrogate", pointer="/x"),
        Bad("lone surrogate in a name", inside + rb',"x":{"\ud800":1}}', says="surrogate", pointer="/x"),
        Bad("arrays too deep", inside + b',"x":' + b"[" * 100 + b"]" * 100 + b"}", says=f"more than {deep - 1} deep"),
        Bad("objects too deep", b'{"x":' * deep + b"1" + b"}" * deep, says=f"more than {deep - 1} deep"),
        Bad("depth that would end a parser", b"[" * 200_000, says="deep"),
        Bad(
            "depth hidden by brackets",
            inside + b',"y":"]]]]","x":' + b'["]",' * 101 + b"1" + b"]" * 101 + b"}",
            says="deep",
        ),
        Bad("depth hidden by a quote", inside + rb',"y":"\"","x":' + b"[" * 101 + b"]" * 101 + b"}", says="deep"),
        Bad("too large", good + b" " * (MIB + 1 - len(good)), 413, f"{MIB} bytes"),
        Bad("far too large", good + b" " * 3 * MIB, 413, f"{MIB} bytes"),
        Bad(
            "too large in chunks",
            raw.chunked([good, *[b" " * 65536] * 17]),
            413,
            f"{MIB} bytes",
            headers=CHUNKED,
            length=False,
        ),
        Bad(
            "too large, sent in part",
            good,
            413,
            f"{MIB} bytes",
            headers=(("Content-Length", str(MIB + 1)),),
            length=False,
            finish=True,
        ),
        Bad(
            "shorter than it says",
            good,
            400,
            "bytes",
            headers=(("Content-Length", str(len(good) + 1)),),
            length=False,
            finish=True,
        ),
        Bad("chunks without an end", without_end(good), 400, "broke off", headers=CHUNKED, length=False, finish=True),
        Bad(
            "chunk that is cut", raw.chunked([good])[:20], 400, "broke off", headers=CHUNKED, length=False, finish=True
        ),
        Bad(
            "chunks that are none",
            b"zz\r\n" + good + b"\r\n0\r\n\r\n",
            400,
            "broke off",
            headers=CHUNKED,
            length=False,
            finish=True,
        ),
        Bad("form", b"name=x&target_url=y", 415, "application/x-www-form-urlencoded", content_type=FORM),
        Bad("JSON sent as a form", good, 415, "application/x-www-form-urlencoded", content_type=FORM),
        Bad("upload", multipart(good), 415, "multipart/form-data", content_type="multipart/form-data; boundary=x"),
        Bad("upload without boundary", good, 415, "multipart/form-data", content_type="multipart/form-data"),
        Bad("plain text", good, 415, "text/plain", content_type="text/plain"),
        Bad("text/json", good, 415, "text/json", content_type="text/json"),
        Bad("xml", b"<event/>", 415, "application/xml", content_type="application/xml; charset=utf-8"),
        Bad("octets", good, 415, "application/octet-stream", content_type="application/octet-stream"),
        Bad("any JSON", good, 415, "application/*+json", content_type="application/*+json"),
        Bad("no type at all", good, 415, "json", content_type="json"),
        Bad("two types", good, 415, "application/json", content_type="application/json, text/plain"),
        Bad("charset", good, 415, "iso-8859-1", content_type="application/json; charset=iso-8859-1"),
        Bad("quoted charset", good, 415, "UTF-16", content_type='application/json; x=1; Charset="UTF-16"'),
        Bad("gzip", gzip.compress(good), 415, "Content-Encoding", headers=(("Content-Encoding", "gzip"),)),
        Bad("encoding by name only", good, 415, "Content-Encoding", headers=(("Content-Encoding", "br"),)),
        Bad("large and of the wrong type", b" " * 3 * MIB, 415, "text/plain", content_type="text/plain"),
    ]


# Subscriptions.


def changed(**members: Any) -> dict[str, Any]:
    """Return a good subscription with members changed, left out or added."""
    return make_subscription(**{"target_url": NOWHERE, **members})


def basic(username: object = "me", password: object = "secret") -> dict[str, Any]:
    """Return `auth` for HTTP basic."""
    return {"type": "basic", "basic": {"username": username, "password": password}}


def scheme(kind: object = "Bearer", credentials: object = "token") -> dict[str, Any]:
    """Return `auth` with a scheme and credentials."""
    return {"type": "header", "header": {"type": kind, "credentials": credentials}}


JSONPATHS = {
    "empty": ("", "empty"),
    "blank": ("  ", "JSONPath"),
    "no path": ("hello world", "JSONPath"),
    "open bracket": ("$[", "JSONPath"),
    "open filter": ('$[?(@.eventType = "x"', "column"),
    "two equal signs": ('$[?(@.a == "x")]', "JSONPath"),
    "ampersands": ("$[?(@.a && @.b)]", "JSONPath"),
    "single quotes": ("$['data']", "JSONPath"),
    "keyword": ("$.or", "JSONPath"),
    "unknown function": ("$.data[foo()]", "foo"),
    "trailing dots": ("$..", "JSONPath"),
    "bare name with a dash": ("data-x", "JSONPath"),
    "NUL": ('$["\0"]', "JSONPath"),
    "too long": ('$["' + "a" * 2044 + '"]', "2049 characters"),
    "very long": ("$" + ".a" * 250_000, "500001 characters"),
    "nested too deep": ("$[?(" + "(" * 40 + "@.a" + ")" * 40 + ")]", "nested more than 32"),
    "unions too deep": ("$" + "[$" * 33 + "]" * 33, "nested more than 32"),
    "steps without end": ("$" + ".a" * 1000, "jsonpath"),
    "three descents": ("$..*..*..*", "3 '..' steps"),
    "descents in a filter": ("$[?(@..a..b = $..c)]", "3 '..' steps"),
    "wide union": ("$.data[" + "0," * 64 + "0]", "a union of 65 members"),
    "wide union in a filter": ("$[?(@.data[" + "0," * 64 + "0] = 1)]", "a union of 65 members"),
    "unions multiplied": ("$" + "[0,1,2,3,4,5,6]" * 3, "343 alternatives"),
    "choices multiplied": ("$[?(" + " and ".join("(@.a < 1 or @.b < 2)" for _ in range(9)) + ")]", "512 alternatives"),
}

TARGETS = {
    "empty": ("", "empty"),
    "relative": ("/receive", "http"),
    "no scheme": ("www.example.com/receive", "http"),
    "scheme alone": ("http://", "host"),
    "path alone": ("http:///receive", "host"),
    "no slashes": ("http:www.example.com", "host"),
    "ftp": ("ftp://www.example.com/", "http"),
    "file": ("file:///etc/passwd", "http"),
    "gopher": ("gopher://127.0.0.1:6379/_FLUSHALL", "http"),
    "javascript": ("javascript:alert(1)", "http"),
    "user and password": ("http://me:secret@www.example.com/", "auth"),
    "user": ("http://me@www.example.com/", "auth"),
    "empty user": ("http://@www.example.com/", "auth"),
    "fragment": ("http://www.example.com/#part", "fragment"),
    "backslash": ("http://127.0.0.1\\@www.example.com/", "backslash"),
    "space": ("http://www.example.com/a b", "space"),
    "space before": (" http://www.example.com/", "space"),
    "line end": ("http://www.example.com/\r\nX-Evil: 1", "control"),
    "line end at the end": ("http://www.example.com/\n", "control"),
    "tab": ("http://www.exam\tple.com/", "control"),
    "NUL": ("http://www.example.com/\0", "control"),
    "port 0": ("http://www.example.com:0/", "port"),
    "port too high": ("http://www.example.com:65536/", "URL"),
    "port negative": ("http://www.example.com:-1/", "URL"),
    "port no number": ("http://www.example.com:http/", "URL"),
    "port in other digits": ("http://www.example.com:８０/", "URL"),
    "two ports": ("http://www.example.com:80:80/", "URL"),
    "open bracket": ("http://[::1/", "URL"),
    "text behind a bracket": ("http://[::1]x/", "host"),
    "IPv4 in brackets": ("http://[127.0.0.1]/", "URL"),
    "future address": ("http://[v1.x]/", "host"),
    "zone": ("http://[fe80::1%25eth0]/", "host"),
    "empty label": ("http://www..example.com/", "host"),
    "long label": (f"http://{'a' * 64}.example.com/", "host"),
    "percent in a host": ("http://www%2eexample.com/", "host"),
    "quote in a host": ('http://www"example.com/', "host"),
    "braces in a host": ("http://{host}/", "host"),
    "semicolon in a host": ("http://www.example.com;x/", "host"),
    "full stop that is none": ("http://127。0。0。1/", "host"),
    "path beyond ASCII": ("http://www.example.com/bücher", "percent-encode"),
    "query beyond ASCII": ("http://www.example.com/?b=ü", "percent-encode"),
    "name beyond ASCII": ("http://bücher.example/", "xn--"),
    "digits that are none": ("http://①②⑦.⓪.⓪.①/", "host"),
    "too long": ("http://www.example.com/" + "a" * 2026, "2049 characters"),
}

AUTHS: dict[str, tuple[object, str, str]] = {
    "null": (None, "", "object"),
    "text": ("Bearer token", "", "object"),
    "list": ([], "", "object"),
    "unknown type": ({"type": "digest"}, "/type", "basic"),
    "type null": ({"type": None, "basic": basic()["basic"]}, "/type", "basic"),
    "no type": ({"basic": basic()["basic"]}, "/type", "required"),
    "basic without its object": ({"type": "basic"}, "/basic", "required"),
    "header without its object": ({"type": "header"}, "/header", "required"),
    "the object of the other type": ({**scheme(), "type": "basic"}, "/basic", "required"),
    "basic null": ({"type": "basic", "basic": None}, "/basic", "object"),
    "no password": ({"type": "basic", "basic": {"username": "me"}}, "/basic/password", "required"),
    "no username": ({"type": "basic", "basic": {"password": "x"}}, "/basic/username", "required"),
    "no credentials": ({"type": "header", "header": {"type": "Bearer"}}, "/header/credentials", "required"),
    "no scheme": ({"type": "header", "header": {"credentials": "x"}}, "/header/type", "required"),
    "password a number": (basic(password=12345), "/basic/password", "string"),
    "username null": (basic(username=None), "/basic/username", "string"),
    "colon in the username": (basic(username="a:b"), "/basic/username", "colon"),
    "line end in the username": (basic(username="a\r\nb"), "/basic/username", "control"),
    "line end in the password": (basic(password="a\r\nX-Evil: 1"), "/basic/password", "control"),
    "line end after the password": (basic(password="a\n"), "/basic/password", "control"),
    "line end in the credentials": (scheme(credentials="a\r\nX-Evil: 1"), "/header/credentials", "visible"),
    "line end after the credentials": (scheme(credentials="a\n"), "/header/credentials", "visible"),
    "credentials not ASCII": (scheme(credentials="Zürich"), "/header/credentials", "visible"),
    "credentials empty": (scheme(credentials=""), "/header/credentials", "empty"),
    "line end in the scheme": (scheme("Bearer\r\nX-Evil: 1"), "/header/type", "scheme"),
    "line end after the scheme": (scheme("Bearer\n"), "/header/type", "scheme"),
    "space in the scheme": (scheme("Bearer x"), "/header/type", "scheme"),
    "colon in the scheme": (scheme("Authorization:"), "/header/type", "scheme"),
    "scheme a list": (scheme(["Bearer"]), "/header/type", "string"),
    "unknown member": ({**basic(), "realm": "x"}, "/realm", "realm"),
    "unknown member inside": (
        {"type": "basic", "basic": {"username": "a", "password": "b", "realm": "x"}},
        "/basic/realm",
        "realm",
    ),
    "long password": (basic(password="x" * 4097), "/basic/password", "4097 characters"),
}

TIMES = [
    "yesterday",
    "",
    "2026-11-22",
    "17:30:00Z",
    "2026-11-22T17:30:00",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-22T25:00:00Z",
    "2026-11-22T17:30:00+25:00",
    "0000-01-01T00:00:00Z",
    "1764000000",
]

WRONG_TYPES: dict[str, list[object]] = {
    "name": [None, 1, True, ["x"], {}],
    "jsonpath": [None, 1, False, ["$"], {}],
    "target_url": [None, 1, True, [NOWHERE], {}],
    "extensions": [None, "x", 1, [], [["a", 1]]],
    "disabled": [1764000000, True, False, [], {}],
    "retry": ["5", 5, True, [5]],
    "limits": ["5", 5, False, [{}]],
    "ordered": [None, 1, "true", {}],
}

NO_OBJECT: list[object] = [[], "x", 1, 1.5, True, None]

#: What is wrong with the members of a subscription, in a POST as in a PUT.
MEMBERS: list[tuple[str, str, object, str, str]] = [
    *((f"{name} is {value!r}", name, value, "", "must be") for name, values in WRONG_TYPES.items() for value in values),
    ("name empty", "name", "", "", "empty"),
    ("name too long", "name", "n" * 256, "", "256 characters"),
    ("name very long", "name", "ü" * 500_000, "", "500000 characters"),
    ("name with NUL", "name", "a\0b", "", "U+0000"),
    *((f"jsonpath: {name}", "jsonpath", text, "", words) for name, (text, words) in JSONPATHS.items()),
    *((f"target: {name}", "target_url", text, "", words) for name, (text, words) in TARGETS.items()),
    *((f"auth: {name}", "auth", value, place, words) for name, (value, place, words) in AUTHS.items()),
    *((f"disabled: {text!r}", "disabled", text, "", "RFC 3339") for text in TIMES),
    ("error", "error", "it hurts", "", "leave it out"),
    ("error a number", "error", 0, "", "error"),
    ("version", "version", "v0.2", "", "leave it out"),
    ("version null", "version", None, "", "version"),
    ("uuid", "uuid", str(uuid4()), "", "leave it out"),
    ("uuid null", "uuid", None, "", "uuid"),
    ("user", "user", "mallory", "", "leave it out"),
    ("created", "created", "2020-01-01T00:00:00Z", "", "leave it out"),
    ("updated", "updated", "2020-01-01T00:00:00Z", "", "leave it out"),
    ("deleted", "deleted", "2020-01-01T00:00:00Z", "", "leave it out"),
    *(
        (f"unknown member {name!r}", name, "x", "", "not a member")
        for name in (
            "nmae",
            "Name",
            "id",
            "revision",
            "failures",
            "save",
            "_meta",
            "__class__",
            "__data__",
            "a/b",
            "~",
            "",
        )
    ),
]


def pointer(member: str) -> str:
    """Return the JSON pointer to a member of the body."""
    return "/" + member.replace("~", "~0").replace("/", "~1")


MEMBER_FAULTS = [
    (name, {member: value}, pointer(member) + place, words) for name, member, value, place, words in MEMBERS
]

GOOD_SUBSCRIPTION = json.dumps(changed()).encode()

NEW = [
    *(says(name, changed(**members), place, words) for name, members, place, words in MEMBER_FAULTS),
    *(says(f"no {name}", changed(**{name: ABSENT}), f"/{name}") for name in ("name", "jsonpath", "target_url")),
    says("deleted null", changed(deleted=None), "/deleted"),
    says("mask of nothing", changed(auth=basic(password="***")), "/auth/basic/password", "mask"),
    says("mask of nothing in the header", changed(auth=scheme(credentials="***")), "/auth/header/credentials", "mask"),
    *(says(f"not an object: {value}", value, "", "object") for value in [*NO_OBJECT, [changed()]]),
    Bad("cloud event type", GOOD_SUBSCRIPTION, 415, "cloudevents", content_type="application/cloudevents+json"),
]

CHANGES = [
    *(says(name, members, place, words) for name, members, place, words in MEMBER_FAULTS),
    says("mask of what is not stored", {"auth": basic(password="***")}, "/auth/basic/password", "mask"),
    *(says(f"not an object: {value}", value, "", "object") for value in NO_OBJECT),
]


# Events.

GOOD_EVENT = json.dumps(make_event(data=ABSENT)).encode()
REQUIRED_0_1 = ("eventType", "source", "eventID")
REQUIRED_1_0 = ("type", "source", "id")
NO_TEXT: list[object] = [None, 1, True, [], {}, ""]


def old(**changes: Any) -> dict[str, Any]:
    """Return a 0.1 event with members changed."""
    return make_event(data=ABSENT, **changes)


def new(**changes: Any) -> dict[str, Any]:
    """Return a 1.0 event with members changed."""
    return make_event_1_0(data=ABSENT, **changes)


BATCH = "application/cloudevents-batch+json"
#: The headers that every event in binary mode has.
BINARY = (("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-type", "t"), ("ce-source", "/s"))

#: What an extension attribute of 1.0 can't be.
NO_ATTRIBUTE: list[object] = [{}, [], 1.5]

EVENTS = [
    *(says(f"not an object: {value}", value, "", "object") for value in [*NO_OBJECT, [old()]]),
    *(says(f"empty object names {name}", {}, f"/{name}") for name in ("specversion", *REQUIRED_1_0)),
    says("something else", {"message": "hello"}, "/specversion", "no CloudEvent"),
    *(says(f"0.1 without {name}", old(**{name: ABSENT}), f"/{name}") for name in REQUIRED_0_1),
    *(says(f"1.0 without {name}", new(**{name: ABSENT}), f"/{name}") for name in REQUIRED_1_0),
    *(says(f"0.1 {name} {value!r}", old(**{name: value}), f"/{name}") for name in REQUIRED_0_1 for value in NO_TEXT),
    *(says(f"1.0 {name} {value!r}", new(**{name: value}), f"/{name}") for name in REQUIRED_1_0 for value in NO_TEXT),
    says("0.1 without its version", old(version=ABSENT), "/cloudEventsVersion"),
    *(
        says(f"0.1 of version {value!r}", old(version=value), "/cloudEventsVersion")
        for value in ("0.2", "1.0", 0.1, None)
    ),
    *(
        says(f"1.0 of version {value!r}", new(version=value), "/specversion")
        for value in ("0.1", "0.4", "1.1", "1.0 ", 1.0, None)
    ),
    says("0.1 with the names of 1.0", {**new(version=ABSENT), "cloudEventsVersion": "0.1"}, "/eventType"),
    says("1.0 with the names of 0.1", {**old(version=ABSENT), "specversion": "1.0"}, "/id"),
    says("time that is none", old(time="yesterday"), "/eventTime"),
    says("time a number", old(time=1764000000), "/eventTime"),
    says("day that is none", old(time="2026-02-30T00:00:00"), "/eventTime"),
    says("1.0 time without a zone", new(time="2026-11-22T17:30:00"), "/time"),
    says("1.0 time that is none", new(time="2026-11-22"), "/time"),
    says("id too long", old(id="x" * 256), "/eventID"),
    says("id very long", new(id="ü" * 300_000), "/id"),
    says("source too long", new(source="x" * 513), "/source"),
    says("type too long", old(type="x" * 513), "/eventType"),
    says("NUL in the id", old(id="a\0b"), "/eventID", "control"),
    says("line end in the type", new(type="a\r\nX-Evil: 1"), "/type", "control"),
    says("line end after the id", new(id="a\n"), "/id", "control"),
    says("line end after the 0.1 id", old(id="a\n"), "/eventID", "control"),
    says("control character in the source", old(source="/a\x85b"), "/source", "control"),
    says("subject empty", new(subject=""), "/subject"),
    says("subject a number", new(subject=5), "/subject"),
    says("subject too long", new(subject="x" * 513), "/subject"),
    says("content type a number", new(content_type=5), "/datacontenttype"),
    says("0.1 content type a number", old(content_type=5), "/contentType"),
    says("schema a number", new(dataschema=5), "/dataschema"),
    says("0.1 extensions a list", old(extensions=[]), "/extensions"),
    says("0.1 extensions a text", old(extensions="x"), "/extensions"),
    *(says(f"extension attribute {value!r}", new(myext=value), "/myext") for value in NO_ATTRIBUTE),
    *(
        says(f"attribute name {name!r}", new(**{name: "x"}), pointer(name), "lower-case")
        for name in ("myExt", "my-ext", "my_ext", "ü", "", "a\n")
    ),
    says("data twice", {**new(), "data": 1, "data_base64": "AAAA"}, "/data_base64", "beside data"),
    *(
        says(f"data_base64 {value!r}", new(data_base64=value), "/data_base64")
        for value in ("a", "====", "AA\nAA", "-_-_", 5)
    ),
    Bad("batch of another format", b"[]", 415, "batch+avro", content_type="application/cloudevents-batch+avro"),
    Bad("batch that is none", GOOD_EVENT, 400, "array", content_type=BATCH),
    Bad("batch with bad members", b"[{},5]", 400, "0.source is required", content_type=BATCH, pointer="/1"),
    Bad("batch too large", b"[" + b"{}," * 100 + b"{}]", 413, "receive.max_batch", content_type=BATCH),
    Bad("batch of another charset", b"[]", 415, "utf-16", content_type=f"{BATCH}; charset=utf-16"),
    Bad("avro", GOOD_EVENT, 415, "application/cloudevents+json", content_type="application/cloudevents+avro"),
    *(
        Bad(
            f"binary mode without {name}",
            b"{}",
            400,
            f"{name} is required: send the header ce-{name}",
            headers=tuple(field for field in BINARY if field[0] != f"ce-{name}"),
            pointer=f"/{name}",
        )
        for name in ("specversion", *REQUIRED_1_0)
    ),
    Bad("binary mode with bad JSON", b"{", 400, "not JSON", headers=BINARY, pointer="/data"),
    Bad("binary mode with a type twice", b"{}", 400, "Content-Type", headers=(*BINARY, ("ce-datacontenttype", "a/b"))),
    Bad("binary mode, gzip", b"{}", 415, "Content-Encoding", headers=(*BINARY, ("Content-Encoding", "gzip"))),
    Bad("binary mode, large", b" " * 2 * MIB, 413, "receive.max_body", headers=BINARY),
    Bad("binary mode, no UTF-8", b"", 400, "UTF-8", headers=(*BINARY, ("ce-x", "%C0%A0")), pointer="/x"),
]


def refused(answer: raw.Answer, bad: Bad) -> dict[str, Any]:
    """Check what is true of every refusal, and return the error."""
    assert answer.status == bad.status, answer.text
    assert answer.headers["Content-Type"] == JSON
    error: dict[str, Any] = answer.json()
    assert error["traceback"] == ""
    assert "Traceback" not in answer.text
    assert bad.says in error["message"]
    if bad.pointer is not None:
        assert bad.pointer in [fault["pointer"] for fault in error["errors"]], error
    assert len(answer.body) < 16_384, "what was sent comes back"
    return error


def send(service: Watched, method: str, path: str, bad: Bad) -> raw.Answer:
    """Send it as alice."""
    headers = [("Http-Remote-User", "alice"), *bad.headers]
    if bad.content_type is not None:
        headers.append(("Content-Type", bad.content_type))
    return raw.send(service.port, method, path, headers, bad.body, length=bad.length, finish=bad.finish)


def contents(service: Watched) -> tuple[dict[str, int], Any]:
    """Return how much is stored, and the subscriptions that alice has."""
    return service.stored(), service.get("/eventmatch", user="alice").json()


def names(cases: list[Bad]) -> list[str]:
    """Return the names of cases; each is another one."""
    found = [case.name for case in cases]
    assert len(set(found)) == len(found)
    return found


#: Where a body is sent, and a good one.
DOORS = {
    "new": ("POST", "/eventmatch", GOOD_SUBSCRIPTION),
    "change": ("PUT", "/eventmatch/{own}", b'{"name":"other"}'),
    "event": ("POST", "/receive", GOOD_EVENT),
}
DOCUMENTS = [(door, bad) for door, (_, _, good) in DOORS.items() for bad in documents(good)]


@pytest.mark.parametrize(("door", "bad"), DOCUMENTS, ids=[f"{door}-{bad.name}" for door, bad in DOCUMENTS])
def test_bad_document(service: Watched, own: str, door: str, bad: Bad) -> None:
    """A body that is no I-JSON within the bounds, or is said to be something else, is refused at every door."""
    method, path, _good = DOORS[door]
    before = contents(service)

    answer = send(service, method, path.replace("{own}", own), bad)

    refused(answer, bad)
    assert contents(service) == before
    assert service.complaint() == ""


@pytest.mark.parametrize("bad", NEW, ids=names(NEW))
def test_bad_subscription(service: Watched, bad: Bad) -> None:
    """A POST that is not a valid subscription is refused with its fault named, and stores nothing."""
    before = contents(service)

    answer = send(service, "POST", "/eventmatch", bad)

    refused(answer, bad)
    assert contents(service) == before
    assert service.complaint() == ""


@pytest.mark.parametrize("bad", CHANGES, ids=names(CHANGES))
def test_bad_change(service: Watched, own: str, bad: Bad) -> None:
    """A PUT that is not valid is refused with its fault named, and changes nothing."""
    before = contents(service)

    answer = send(service, "PUT", f"/eventmatch/{own}", bad)

    refused(answer, bad)
    assert contents(service) == before
    assert service.complaint() == ""


@pytest.mark.parametrize("bad", EVENTS, ids=names(EVENTS))
def test_bad_event(service: Watched, bad: Bad) -> None:
    """A POST to /receive that is not a valid event is refused with its fault named, and stores nothing."""
    before = contents(service)

    answer = send(service, "POST", "/receive", bad)

    refused(answer, bad)
    assert contents(service) == before
    assert service.complaint() == ""


# Requests without a body.

UNKNOWN = "7a1f8c52-0d3e-4b6a-9c41-5e2d8f7b3a60"
CURSORS = {
    "word": "next",
    "beyond ASCII": quote("ü"),
    "other base64": "aGVsbG8=",
    "no uuid": "MjAyNi0xMS0yMlQxNzozMDowMHxo",
    "bytes": "_____w==",
    **{
        name: base64.urlsafe_b64encode(text.encode()).decode()
        for name, text in {
            "no list": '{"created": 1}',
            "empty list": "[]",
            "number for a time": f'["created", 1, "{UNKNOWN}"]',
            "word for a time": f'["created", "now", "{UNKNOWN}"]',
            "number for a uuid": '["created", "2026-01-01T00:00:00Z", 7]',
            "too few": f'["created", "{UNKNOWN}"]',
            "too many": f'["created", "2026-01-01T00:00:00Z", "x", "{UNKNOWN}"]',
            "nested": "[" * 200,
        }.items()
    },
}
#: What is wrong with a query, the place that is named, and words of the message.
QUERIES = [
    ("GET", "/eventmatch?color=red", "/color", "color"),
    ("GET", "/eventmatch?user=bob", "/user", "user"),
    ("GET", "/eventmatch?Limit=1", "/Limit", "Limit"),
    ("GET", "/eventmatch?=1", "/", "no query parameter"),
    ("GET", "/eventmatch?limit=1&limit=2", "/limit", "once"),
    ("GET", "/eventmatch?name=a&name=a", "/name", "once"),
    ("GET", "/eventmatch?limit", "/limit", "1000"),
    *(
        ("GET", f"/eventmatch?limit={value}", "/limit", "1000")
        for value in ("", "0", "-1", "1001", "ten", "1.5", "1e3", "0x10", "+1", "%201", quote("１"), "9" * 5000)
    ),
    *(("GET", f"/eventmatch?cursor={value}", "/cursor", "Link") for value in ("", *CURSORS.values())),
    *(
        ("GET", f"/eventmatch?sort={value}", "/sort", "name, created, updated")
        for value in ("", "uuid", "Name", "-", "--name", "name,", "name,-name", "%2bname", "name%20", "auth")
    ),
    *(
        ("GET", f"/eventmatch?disabled={value}", "/disabled", "true or false")
        for value in ("", "1", "True", "yes", "null")
    ),
    *(
        ("GET", f"/eventmatch?since={value}", "/since", "RFC 3339")
        for value in ("", "yesterday", "2026-11-22T17:30:00", "1")
    ),
    ("GET", "/eventmatch?name=%00", "/name", "U+0000"),
    ("GET", "/eventmatch?target_url=a%00", "/target_url", "U+0000"),
    ("GET", "/eventmatch/{own}?limit=1", "/limit", "limit"),
    ("GET", "/eventmatch/{own}?self=1", "/self", "self"),
    ("GET", "/eventmatch?self=1", "/self", "self"),
    ("POST", "/eventmatch?name=x", "/name", "name"),
    ("POST", "/eventmatch?self=x", "/self", "self"),
    ("PUT", "/eventmatch/{own}?name=x", "/name", "name"),
    ("PUT", "/eventmatch/{own}?path=x", "/path", "path"),
    ("DELETE", "/eventmatch/{own}?force=true", "/force", "force"),
    ("POST", "/receive?source=x", "/source", "source"),
    ("POST", "/receive?self=x", "/self", "self"),
    ("POST", "/receive?a%2Fb=x", "/a~1b", "a/b"),
    ("GET", "/?x=1", "/x", "x"),
    ("GET", "/?self=1", "/self", "self"),
    ("GET", "/health/live?x=1", "/x", "x"),
    ("GET", "/health/ready?x=1", "/x", "x"),
    ("GET", "/schemas/event?x=1", "/x", "x"),
    *(
        (method, f"/eventmatch/{text}", "", "no uuid")
        for method in ("GET", "PUT", "DELETE")
        for text in (
            "x",
            "1",
            "%20",
            "%00",
            "%FF",
            "..%2f..",
            f"{{{UNKNOWN}}}",
            f"urn:uuid:{UNKNOWN}",
            UNKNOWN.replace("-", ""),
            UNKNOWN + "0",
            UNKNOWN[:-1],
            UNKNOWN[:-1] + "g",
            UNKNOWN[:-1] + quote("１"),
            UNKNOWN + "%0a",
            "x" * 5000,
        )
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "place", "words"), QUERIES, ids=[f"{method} {path[:60]}" for method, path, *_ in QUERIES]
)
def test_bad_query(service: Watched, own: str, method: str, path: str, place: str, words: str) -> None:
    """A parameter that is unknown, repeated or has a bad value, and a path that is no uuid, are named in a 400."""
    before = contents(service)
    body = GOOD_EVENT if "receive" in path else GOOD_SUBSCRIPTION

    answer = send(service, method, path.replace("{own}", own), Bad("", body))

    refused(answer, Bad("", b"", 400, words, place))
    assert contents(service) == before
    assert service.complaint() == ""


# Requests that are no HTTP, or that two readers would read as two different ones.

FRAMES = {
    "length no number": (("Content-Length", "ten"),),
    "length negative": (("Content-Length", "-1"),),
    "length with a sign": (("Content-Length", f"+{len(GOOD_EVENT)}"),),
    "length in other digits": (("Content-Length", "²"),),
    "length with an underscore": (("Content-Length", "1_0"),),
    "lengths in a list": (("Content-Length", f"{len(GOOD_EVENT)}, {len(GOOD_EVENT)}"),),
    "unknown transfer encoding": (("Transfer-Encoding", "gzip"),),
    "header without a colon": (("Content-Type application/json", ""),),
    "space before the colon": (("Content-Length ", "5"),),
}


@pytest.mark.parametrize("headers", FRAMES.values(), ids=FRAMES)
def test_bad_framing(service: Watched, headers: raw.Headers) -> None:
    """A request whose end can't be told is not taken for an event, and ends neither the service nor its log."""
    before = contents(service)

    answer = raw.send(
        service.port, "POST", "/receive", [("Content-Type", JSON), *headers], GOOD_EVENT, length=False, finish=True
    )

    assert 400 <= answer.status < 500 or answer.status == 501, answer.text
    assert "Traceback" not in answer.text
    assert contents(service) == before
    assert service.complaint() == ""


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\xff\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["nothing", "no path", "version", "TLS", "escape", "large header", "long path"],
)
def test_no_http(service: Watched, sent: bytes) -> None:
    """What is hardly HTTP is answered without a traceback, if at all, and the service goes on."""
    answer = raw.exchange(service.port, sent)

    assert b"Traceback" not in answer
    assert b" 500 " not in answer.partition(b"\r\n")[0]
    assert service.complaint() == ""


def test_break_off_stores_nothing(service: Watched) -> None:
    """A client that goes away in the middle of its body leaves no event behind."""
    before = contents(service)
    headers = [("Host", "x"), ("Content-Type", JSON), ("Content-Length", str(len(GOOD_EVENT)))]

    for cut in (0, 1, len(GOOD_EVENT) - 1):
        raw.exchange(service.port, raw.head("POST", "/receive", headers) + GOOD_EVENT[:cut], listen=False)

    assert service.complaint() == ""
    assert contents(service) == before
