"""Runs cases of the fault rig by their numbers, and prints a table in Markdown.

`python -m tests.faults 7 --seed 42` runs case 7 in its short form, `all --long` every case with both brokers,
`soak --events 100000 --kills 50` the soak.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import close_all

from . import CASES
from .catalogue import Case, Finding, Impossible, play, table
from .rig import BROKERS, Rig
from .soak import SOAK


def main() -> None:
    """Run what is asked for; the status is 1 if anything is wrong."""
    options = _options()
    # So that the servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [*CASES.values()] if options.cases == ["all"] else [_case(name) for name in options.cases]
    findings: list[Finding] = []
    bad = False
    for broker in BROKERS:
        mine = [each for each in chosen if broker in _brokers(each, options)]
        if mine:
            bad |= _run(broker, mine, options, findings)
    print(table(findings))
    sys.exit(bad)


def _run(broker: str, chosen: list[Case], options: argparse.Namespace, findings: list[Finding]) -> bool:
    """Run cases on one rig; tell whether anything is wrong."""
    reason = Rig.available(broker)
    if reason:
        sys.exit(reason)
    bad = False
    with _folder(options.logs, broker) as folder, Rig(folder, broker, options.seed) as rig:
        for each in chosen:
            print(f"case {each.name} on {broker}, seed {options.seed}: {each.what}", file=sys.stderr, flush=True)
            more: dict[str, Any] = {"long": options.long}
            if each is SOAK:
                more = {"events": options.events, "kills": options.kills, "rate": options.rate}
            try:
                findings.append(play(rig, each, **more))
            except Impossible as error:
                print(f"case {each.name} can't be run: {error}", file=sys.stderr)
                continue
            except (AssertionError, OSError) as error:
                print(f"case {each.name} FAILED: {error!r}", file=sys.stderr)
                print("\n".join(getattr(error, "__notes__", [])), file=sys.stderr)
                bad = True
                continue
            for problem in findings[-1].problems:
                print(f"case {each.name} FAILED: {problem}", file=sys.stderr)
                bad = True
    close_all()
    return bad


@contextmanager
def _folder(logs: Path | None, broker: str) -> Iterator[Path]:
    """Give the folder for logs and arrivals, which is deleted unless one was named."""
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = logs / broker if logs else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _brokers(chosen: Case, options: argparse.Namespace) -> list[str]:
    if options.broker:
        return [options.broker]
    return list(BROKERS) if options.long else [chosen.broker]


def _case(name: str) -> Case:
    if name == SOAK.name:
        return SOAK
    if name not in CASES:
        sys.exit(f"there is no case {name}; there are: {', '.join(CASES)}, all, {SOAK.name}")
    return CASES[name]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="+", help="numbers of cases, all, or soak")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance begins with")
    parser.add_argument("--broker", choices=list(BROKERS), help="only this one")
    parser.add_argument("--long", action="store_true", help="the long form, with both brokers")
    parser.add_argument("--logs", type=Path, help="folder in which the logs of all processes are kept")
    parser.add_argument("--events", type=int, default=100_000, help="events of the soak (default %(default)s)")
    parser.add_argument("--kills", type=int, default=50, help="kills of the soak (default %(default)s)")
    parser.add_argument("--rate", type=float, default=200, help="events in a second of the soak (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
