"""The parts that the rig's verdict rests on: the judge, the proxy, the sink."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.proxy import Proxy
from tests.support.sink import Arrival, Sink
from tests.support.target import RecordingTarget

from .verdict import Evidence, judge


def arrival(**changes: Any) -> Arrival:
    """Return the first attempt of the delivery of event 1."""
    first = Arrival(0.0, "/a", "delivery-1", 1, "", "type", "1", 200)
    return replace(first, **changes)


GOOD = Evidence(
    sent=[1, 2],
    acked=[1, 2],
    rows=[1, 2],
    paths={"/a": 1},
    arrivals=[arrival(), arrival(id="2", delivery="delivery-2")],
    dead=[],
    statuses=[200, 503],
    unended=0,
    unrouted=0,
    leased=0,
    queued=0,
    unchanged=True,
    bound=0,
)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"arrivals": GOOD.arrivals[:1]}, "lost: 1 (('/a', 2))"),
        ({"arrivals": GOOD.arrivals[:1], "dead": [("/a", 2)]}, ""),
        ({"arrivals": [GOOD.arrivals[0], replace(GOOD.arrivals[1], status=500)]}, "lost: 1 (('/a', 2))"),
        ({"paths": {"/a": 1, "/b": 1}, "dead": [("/b", 1)]}, "lost: 1 (('/b', 2))"),
        ({"sent": [1], "acked": [1], "rows": [1]}, "delivered and never sent: 1 (2)"),
        ({"paths": {"/a": 2}}, "delivered and not subscribed to: 1 (('/a', 1))"),
        ({"paths": {"/a": 2}, "arrivals": GOOD.arrivals[1:]}, ""),
        ({"paths": {"/a": 2}, "arrivals": []}, "lost: 1 (('/a', 2))"),
        ({"arrivals": [*GOOD.arrivals, arrival()]}, "1 came again, 0 may"),
        ({"arrivals": [*GOOD.arrivals, arrival()], "bound": 1}, ""),
        (
            {"arrivals": [*GOOD.arrivals, arrival(delivery="another")], "bound": 1},
            "came again under another delivery id: 1 (('/a', '1'))",
        ),
        ({"rows": [1, 2, 2]}, "several rows for one event: 1 (2)"),
        ({"rows": [1]}, "answered 2xx and no row: 1 (2)"),
        ({"statuses": [200, 500]}, "answers other than 2xx and 503: [500]"),
        ({"unended": 1}, "1 deliveries have not ended"),
        ({"unrouted": 2}, "2 events are not routed"),
        ({"leased": 3}, "3 rows are still leased"),
        ({"queued": 4}, "4 messages are still in the queue"),
        ({"unchanged": False}, "a subscription was changed or disabled"),
    ],
)
def test_the_judge_sees_each_fault(changes: dict[str, Any], problem: str) -> None:
    """A run is good, or each thing that is wrong with it is named."""
    found = judge(replace(GOOD, **changes))

    assert found.problems == ([problem] if problem else [])


def ask(port: int, seconds: float = 5) -> bytes:
    """Send a request, and return what comes back until the end, the reset, or the end of the time."""
    received = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while data := connection.recv(65536):
            received += data
    return received


@pytest.fixture
def proxy(target: RecordingTarget) -> Iterator[Proxy]:
    """A proxy before a target."""
    with Proxy(target.port) as started:
        yield started


def test_a_proxy_passes_cuts_swallows_and_resets(target: RecordingTarget, proxy: Proxy) -> None:
    """Each mode does what it says to what is sent meanwhile, and after it all passes again."""
    whole = ask(proxy.port)
    proxy.switch("cut", "back", 7)
    cut = ask(proxy.port)
    proxy.switch("drop", "there")
    arrived = len(target.requests())
    unheard = ask(proxy.port, 0.3)
    heard = len(target.requests()) - arrived
    proxy.switch("drop", "back")
    unanswered = ask(proxy.port, 0.3)
    proxy.switch("reset")
    reset = ask(proxy.port)
    proxy.switch("drip", "back")
    dripped = ask(proxy.port)
    proxy.switch("pass")

    assert whole.startswith(b"HTTP/1.1 200")
    assert cut == whole[:7]
    assert (unheard, heard) == (b"", 0)
    assert unanswered == reset == b""
    assert len(target.requests()) >= arrived + 1
    assert dripped == whole == ask(proxy.port)


def test_what_a_proxy_stalls_goes_on(proxy: Proxy) -> None:
    """Bytes that were held back arrive when it passes again, on the same connection."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as connection:
        proxy.switch("stall", "back")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.switch("pass")

        assert connection.recv(12) == b"HTTP/1.1 200"


def send(port: int, path: str, attempt: int, number: int) -> http.client.HTTPResponse:
    """Send a delivery as a worker does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Notifications-Delivery": f"delivery-{number}", "Notifications-Attempt": str(attempt)}
    connection.request("POST", path, json.dumps({"type": "t", "id": str(number)}), headers)
    return connection.getresponse()


def test_the_sink_writes_down_and_follows_the_script(tmp_path: Path) -> None:
    """Each attempt gets its answer of the script, and is on disk when it is answered."""
    path = "/script/500,429:2,reset,200/x"
    with Sink(tmp_path) as sink:
        first, second = send(sink.port, path, 1, 7), send(sink.port, path, 2, 7)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            send(sink.port, path, 3, 7)
        statuses = [send(sink.port, path, attempt, 7).status for attempt in (4, 5)]
        seen = sink.arrivals("t")
        sink.kill()

    assert (first.status, second.status, second.getheader("Retry-After"), statuses) == (500, 429, "2", [200, 200])
    assert [(each.attempt, each.status, each.delivery, each.id) for each in seen] == [
        (attempt, status, "delivery-7", "7") for attempt, status in enumerate([500, 429, None, 200, 200], 1)
    ]
