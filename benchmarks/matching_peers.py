"""Compares with other JSONPath libraries, each in an environment of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from .figures import Figure
from .matching_events import SMALL, events
from .matching_index import Ground
from .matching_subscriptions import mix
from .matching_timing import indexed, matching
from .sides import CHECKOUT

#: What they are installed as.
_REQUIREMENTS = Path(__file__).with_name("peers.txt")
#: Filters that others try: what each costs does not depend on how many there are.
_TRIED = 100


def peers(ground: Ground, environments: Path) -> list[Figure]:
    """Give how many times more a subscription costs with each of them; one that can't be installed is named."""
    subscriptions = mix(ground.scale.most, ground.seed, "nested")
    index = indexed(one.text for one in subscriptions)
    texts = events(10, SMALL, ground.seed)
    given = json.dumps({"events": texts, "filters": [one.items for one in subscriptions[:_TRIED]]})
    expected = [sorted(key for key in index.match(orjson.loads(text)) if key < _TRIED) for text in texts]
    figures = []
    for requirement in _requirements():
        name = requirement.partition("==")[0]
        python, reason = _installed(requirement, environments / name)
        if reason:
            figures.append(Figure(f"over {name}", [float("nan")], "", f"can't be installed here: {reason}"))
            continue
        costs, times = [], []
        for _ in range(min(3, ground.scale.rounds)):
            measured = _measured(python, name, given)
            if measured["found"] != expected:
                raise AssertionError(f"{name} found {measured['found']}, ours {expected}")
            ours = min(matching(index.match, ground.small) for _ in range(3)) / len(subscriptions)
            costs.append(measured["us"])
            times.append(measured["us"] / ours)
        print(f"{name}: {statistics.median(costs):.4g} us", file=sys.stderr)
        how = f"{requirement}: {statistics.median(costs):.0f} us each, {_TRIED} filters of items on 10 events"
        ours_how = f"ours: {len(subscriptions):,} of the same kind"
        figures.append(
            Figure(f"items alone, 3 KB, per subscription, over {name}", times, " ×", f"{how}; {ours_how}", digits=0)
        )
    return figures


def _requirements() -> Sequence[str]:
    return [line for line in _REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]


def _installed(requirement: str, environment: Path) -> tuple[Path, str]:
    """Give the Python that has it, installed if it was not; and why it has not, if so."""
    python, made = environment / "bin" / "python", environment / ".made"
    if made.exists() and made.read_text() == requirement:
        return python, ""
    print(f"Installing {requirement} into {environment} ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return python, (errors or ["pip failed"])[-1]
    made.write_text(requirement)
    return python, ""


def _measured(python: Path, name: str, given: str) -> dict[str, object]:
    """Run `benchmarks.yardsticks.json_paths`."""
    done = subprocess.run(
        [python, "-m", "benchmarks.yardsticks.json_paths", name],
        input=given,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise AssertionError(f"{name}: {done.stderr}")
    found: dict[str, object] = json.loads(done.stdout)
    return found
