"""Measures what `python -m benchmarks NAME` names, or everything, and prints one table of figures in Markdown.

Each name is a module with `main(arguments)`, which gives its figures; `python -m benchmarks NAME --help` says its
options.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
from collections.abc import Sequence

from .figures import Figure, table

#: What can be measured, in this order.
NAMES = ("releases", "intake", "delivering", "latency", "fairness", "backlog", "matching")


def main() -> None:
    """Measure, and print what was reached."""
    # So that the servers end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names, options = _chosen(sys.argv[1:])
    load_before = os.getloadavg()[0]
    figures: list[Figure] = []
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        figures += importlib.import_module(f"benchmarks.{name}").main(options)
    print(table(figures), end="\n\n")
    print(
        f"Medians (lowest to highest of the rounds). {os.cpu_count()} cores, Python {platform.python_version()};"
        f" load of the machine {load_before:.1f} before, {os.getloadavg()[0]:.1f} at the end."
    )


def _chosen(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Give the names of what is to be measured, and the options that are for it."""
    if arguments and arguments[0] in NAMES:
        return arguments[:1], arguments[1:]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"NAME is one of: {', '.join(NAMES)}.",
    )
    parser.add_argument("--quick", action="store_true", help="a short look at everything, no figures to keep")
    return NAMES, ["--quick"] if parser.parse_args(arguments).quick else []


if __name__ == "__main__":
    main()
