"""Compares how attempts are sent with bare pycurl, against the same sink: `python -m benchmarks.sending`.

Both POST bodies of 3 KB with authentication, from one thread, and keep a number of them under way. The bare side does
what curl's multi interface needs and nothing else: no limits, no header of ours, no outcome. Rounds of both take turns.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import pycurl

from pacifica.notifications.addresses import Policy
from pacifica.notifications.targets import HttpTarget, Sending
from pacifica.notifications.transfer import Limits, Loop
from tests.support.servers.nginx_sink import NginxSink

BODY = b'{"data": "' + b"x" * 2950 + b'"}'
AUTH = {"type": "basic", "basic": {"username": "alice", "password": "open sesame"}}
_AUTHORIZATION = b"Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU="


@dataclass(frozen=True)
class Figure:
    """What one round measured."""

    per_second: float
    microseconds: float


class Bare:
    """pycurl's multi interface with `perform` and `select`, as its documentation has it."""

    def __init__(self, url: str, width: int) -> None:
        self._multi = pycurl.CurlMulti()
        self._handles = [self._handle(url) for _ in range(width)]

    def send(self, number: int) -> None:
        """Send as many POSTs, and come back when all are answered."""
        idle, begun, done = list(self._handles), 0, 0
        while done < number:
            while idle and begun < number:
                handle = idle.pop()
                handle.setopt(pycurl.POSTFIELDS, BODY)
                self._multi.add_handle(handle)
                begun += 1
            self._multi.perform()
            more = 1
            while more:
                more, succeeded, failed = self._multi.info_read()
                if failed:
                    raise AssertionError(failed)
                for handle in succeeded:
                    if handle.getinfo(pycurl.RESPONSE_CODE) != 204:
                        raise AssertionError("not taken")
                    self._multi.remove_handle(handle)
                    idle.append(handle)
                    done += 1
            if not idle:
                self._multi.select(1.0)

    def _handle(self, url: str) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.HTTPHEADER, [b"Content-Type: application/json", _AUTHORIZATION, b"Expect:"])
        return handle


class Ours:
    """The target for HTTP, as the courier uses it."""

    def __init__(self, url: str, width: int, batch: int) -> None:
        self._url, self._width, self._batch = url, width, batch
        self._loop = Loop()
        self._target = HttpTarget(Limits(connections=width, per_host=width), Policy(profile="local"), self._loop)

    def send(self, number: int) -> None:
        """Send as many POSTs, in batches, and come back when all are answered."""
        begun = done = 0
        while done < number:
            room = min(self._batch, self._width - len(self._target), number - begun)
            if room > 0:
                self._target.start([self._sending(begun + each) for each in range(room)])
                begun += room
            self._loop.wait(1.0)
            for _key, outcome in self._target.wait(0):
                if outcome.status != 204:
                    raise AssertionError(outcome)
                done += 1

    def _sending(self, number: int) -> Sending:
        return Sending(
            key=number,
            url=self._url,
            body=BODY,
            content_type="application/json",
            delivery="0f2a6d4e-1111-4222-8333-444455556666",
            attempt=1,
            auth=AUTH,
        )


def measured(send: Callable[[int], None], number: int) -> Figure:
    """Send, and give what it took."""
    cpu, began = _cpu(), time.monotonic()
    send(number)
    return Figure(number / (time.monotonic() - began), 1e6 * (_cpu() - cpu) / number)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a table in Markdown: medians, and the median of the ratios of the rounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sending", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--number", type=int, default=10_000, help="POSTs of each side in a round")
    options = parser.parse_args()
    print("| under way | bare, POSTs/s | ours, POSTs/s | share | bare, CPU us | ours, CPU us | times |")
    print("|---|---|---|---|---|---|---|")
    with NginxSink() as sink:
        for width in (50, 100, 200, 900):
            sides = (Bare(sink.url, width), Ours(sink.url, width, min(width, 200)))
            for side in sides:
                side.send(2 * width)
            rounds = [[measured(side.send, options.number) for side in sides] for _ in range(options.rounds)]
            bare, ours = zip(*rounds, strict=True)
            print(
                f"| {width} | {_median(bare, 'per_second'):,.0f} | {_median(ours, 'per_second'):,.0f}"
                f" | {statistics.median(o.per_second / b.per_second for b, o in rounds):.2f}"
                f" | {_median(bare, 'microseconds'):.1f} | {_median(ours, 'microseconds'):.1f}"
                f" | {statistics.median(o.microseconds / b.microseconds for b, o in rounds):.2f} |"
            )


def _median(figures: tuple[Figure, ...], name: str) -> float:
    return statistics.median(getattr(figure, name) for figure in figures)


if __name__ == "__main__":
    main()
