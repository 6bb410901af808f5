"""Measures the service as one process on SQLite: how many events it accepts, how soon an event arrives.

Starts the installed service in a temporary home, sends to it over loopback, and prints a table.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ARRIVED: queue.SimpleQueue[float] = queue.SimpleQueue()


class Target(BaseHTTPRequestHandler):
    """Notes when a delivery is there."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        ARRIVED.put(time.perf_counter())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service() -> Iterator[int]:
    """Run the service in an empty home and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("pacifica-notifications"), "-a", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("w") as log:
        env = {"HOME": home, "USERPROFILE": home, "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def post(connection: http.client.HTTPConnection, path: str, value: object) -> None:
    """Send a value; anything but 200 ends the measurement."""
    connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} answered {answer.status}: {said.decode()}")


def event(kind: str, number: int) -> dict[str, str]:
    """Give an event of some 3 KB."""
    return {"specversion": "1.0", "type": kind, "source": "/bench", "id": f"{kind}.{number}", "data": "x" * 3000}


def accepted(port: int, events: int, clients: int) -> float:
    """Give the events a second that are accepted from so many clients at once."""

    def send(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(first, events, clients):
            post(connection, "/receive", event("unwanted", number))

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, range(clients)))
    return events / (time.perf_counter() - begin)


def arrivals(port: int, samples: int) -> Iterator[float]:
    """Give the milliseconds from the answer of an idle service until the event is at its target."""
    target = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    url = f"http://127.0.0.1:{target.server_port}/"
    post(connection, "/eventmatch", {"name": "a", "jsonpath": '$[?(@.type = "wanted")]', "target_url": url})
    for number in range(samples):
        post(connection, "/receive", event("wanted", number))
        answered = time.perf_counter()
        yield max(0.0, ARRIVED.get(timeout=60) - answered) * 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2000, help="events to accept (default 2000)")
    parser.add_argument("--clients", type=int, default=8, help="clients that send at once (default 8)")
    parser.add_argument("--samples", type=int, default=100, help="events to follow to the target (default 100)")
    options = parser.parse_args()
    with service() as port:
        taken = sorted(arrivals(port, options.samples))
        rate = accepted(port, options.events, options.clients)
    print("| one process on SQLite | |\n|---|---|")
    print(f"| events accepted, {options.clients} sent at once | {rate:,.0f} /s |")
    print(f"| from the answer to the target, p50 | {statistics.median(taken):.1f} ms |")
