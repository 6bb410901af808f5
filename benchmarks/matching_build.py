"""Measures building an index, in a process of its own: `python -m benchmarks.matching_build FILE`.

FILE has an expression in each line, of which the process keeps nothing but what the index keeps.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import psutil  # type: ignore[import-untyped]

from pacifica.notifications.matching import Index

from .figures import Figure
from .matching_subscriptions import mix
from .sides import CHECKOUT


def build(scale: int, seed: int, rounds: int) -> list[Figure]:
    """Give the seconds, and the bytes of each subscription."""
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mix"
        file.write_text("".join(f"{one.text}\n" for one in mix(scale, seed)))
        for _ in range(rounds):
            command: list[str | Path] = [sys.executable, "-m", "benchmarks.matching_build", file]
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
            if done.returncode:
                raise AssertionError(done.stderr)
            found.append(json.loads(done.stdout))
            print(f"build: {found[-1]}", file=sys.stderr)
    clock = statistics.median(one["wall"] for one in found)
    how = "the mix, keys are UUIDs, in a fresh process"
    return [
        Figure(
            f"build {scale:,}",
            [one["cpu"] for one in found],
            " s",
            f"{how}, CPU; {clock:.2f} s by the clock",
            most=1,
            digits=2,
        ),
        Figure(
            "memory of a subscription",
            [one["bytes"] / scale for one in found],
            " B",
            f"{how}, growth of RSS without the keys",
            most=400,
            digits=0,
        ),
    ]


def main() -> None:
    """Build one, and say what it took."""
    with Path(sys.argv[1]).open() as lines:
        number = sum(1 for _ in lines)
        keys = [UUID(int=key) for key in range(number)]
        lines.seek(0)
        warm = Index()
        warm.add(0, "$.data")
        gc.collect()
        # As routing does while it takes up all of them.
        gc.disable()
        before, wall, cpu = psutil.Process().memory_info().rss, time.perf_counter(), time.process_time()
        index = Index()
        for key, line in zip(keys, lines, strict=True):
            index.add(key, line.rstrip("\n"))
        took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    gc.collect()
    gc.freeze()
    print(json.dumps(took | {"bytes": psutil.Process().memory_info().rss - before}))


if __name__ == "__main__":
    main()
