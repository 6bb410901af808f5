"""The limit: the same requests with pycurl's multi interface and nothing around them.

`python -m benchmarks.yardsticks.bare_pycurl URL ... --requests 20000 --in-flight 100` prints one JSON object with the
seconds that it took and the CPU seconds. A handle is prepared once and used again as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from uuid import uuid4

import pycurl

from pacifica.notifications.globals import ATTEMPT_HEADER, DELIVERY_HEADER
from tests.support.factories import ingest


def _handle(url: str, body: bytes) -> pycurl.Curl:
    handle = pycurl.Curl()
    headers = ["Content-Type: application/json", f"{DELIVERY_HEADER}: {uuid4()}", f"{ATTEMPT_HEADER}: 1", "Expect:"]
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.POSTFIELDS, body)
    handle.setopt(pycurl.HTTPHEADER, headers)
    handle.setopt(pycurl.PROXY, "")
    handle.setopt(pycurl.WRITEFUNCTION, lambda _chunk: None)
    return handle


def send(urls: Sequence[str], requests: int, in_flight: int) -> None:
    """Send so many requests, the urls in turn, so many at once; raises `AssertionError` at the first that fails."""
    body = json.dumps(ingest(1), ensure_ascii=False).encode()
    multi = pycurl.CurlMulti()
    handles = [_handle(urls[number % len(urls)], body) for number in range(min(in_flight, requests))]
    for handle in handles:
        multi.add_handle(handle)
    left, under_way = requests - len(handles), len(handles)
    while under_way:
        multi.perform()
        more = 1
        while more:
            more, succeeded, failed = multi.info_read()
            if failed:
                raise AssertionError(failed[0][2])
            for handle in succeeded:
                multi.remove_handle(handle)
                if left:
                    multi.add_handle(handle)
                    left -= 1
                else:
                    under_way -= 1
        multi.select(0.05)


def main() -> None:
    """Send what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    began, used = time.perf_counter(), time.process_time()
    send(options.urls, options.requests, options.in_flight)
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}))


if __name__ == "__main__":
    main()
