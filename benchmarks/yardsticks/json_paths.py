"""What a subscription costs with another library: `python -m benchmarks.yardsticks.json_paths NAME`, run by its Python.

Standard input has one JSON object: texts of `events`, and `filters` of their items, each a list of members with their
values as JSON. Standard output gets another: microseconds for one filter at one event, and which of them found
something in each event.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Filter = Sequence[tuple[str, str]]
#: Gives the numbers of those that find something in an event.
Match = Callable[[Any], list[int]]


def jsonpath2(filters: Sequence[Filter]) -> Match:
    """Ask for the first result of each."""
    from jsonpath2 import Path

    paths = [Path.parse_str(f"$.data[*][?({_joined(one, '=', 'and')})]") for one in filters]
    return lambda event: [number for number, path in enumerate(paths) if next(path.match(event), None) is not None]


def python_jsonpath(filters: Sequence[Filter]) -> Match:
    """Ask for the first result of each."""
    import jsonpath

    paths = [jsonpath.compile(_standard(one)) for one in filters]
    return lambda event: [number for number, path in enumerate(paths) if path.match(event) is not None]


def jsonpath_ng(filters: Sequence[Filter]) -> Match:
    """Ask for all results, because there is no other way."""
    from jsonpath_ng.ext import parse

    paths = [parse(f"$.data[?({_joined(one, '==', '&&')})]") for one in filters]
    return lambda event: [number for number, path in enumerate(paths) if path.find(event)]


def jsonpath_rust_bindings(filters: Sequence[Filter]) -> Match:
    """Convert the event once; an expression can't be kept parsed."""
    from jsonpath_rust_bindings import Finder

    texts = [_standard(one) for one in filters]

    def match(event: Any) -> list[int]:
        finder = Finder(event)
        return [number for number, text in enumerate(texts) if finder.find(text)]

    return match


def json_hyperscan(filters: Sequence[Filter]) -> Match:
    """Give it all of them; it says which of its patterns matched where."""
    from json_hyperscan import JSONHyperscan

    hyperscan, numbers = JSONHyperscan(), {}
    for number, one in enumerate(filters):
        hyperscan.add_pattern(_standard(one))
        numbers[_standard(one)] = number
    return lambda event: sorted({numbers[match.pattern] for match in hyperscan.iter_matches(event)})


def _standard(one: Filter) -> str:
    """Write a filter as RFC 9535 has it."""
    return f"$.data[?{_joined(one, '==', '&&')}]"


def _joined(one: Filter, equals: str, both: str) -> str:
    return f" {both} ".join(f"@.{name} {equals} {value}" for name, value in one)


def main() -> None:
    """Measure the library that the command line names."""
    given = json.load(sys.stdin)
    match = globals()[sys.argv[1].replace("-", "_")](given["filters"])
    found, best = [], float("inf")
    for _ in range(3):
        events = [json.loads(text) for text in given["events"]]
        began = time.thread_time_ns()
        found = [match(event) for event in events]
        best = min(best, time.thread_time_ns() - began)
    print(json.dumps({"us": best / 1000 / len(found) / len(given["filters"]), "found": found}))


if __name__ == "__main__":
    main()
