"""Servers that hold their connections and say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]

from .servers import Server


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Stop all processes of a server for the block, where they are; its system still takes what is sent to it."""
    main = psutil.Process(server.process.pid)
    # First, so that it starts no others.
    main.suspend()
    held = [main, *main.children(recursive=True)]
    try:
        for process in held:
            process.suspend()
        yield
    finally:
        for process in held:
            process.resume()
