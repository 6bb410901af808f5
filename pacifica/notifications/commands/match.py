"""``match``: an expression is tried on events, explained, timed, and held against jsonpath2."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from timeit import Timer
from typing import Any

from .. import jsonpath, matching
from ..config import Settings
from ..errors import InvalidJSONPath, NotificationsError
from ..jsonpath import oracle, syntax
from ..routing import bounds_of
from .output import complain, write_json, write_table
from .samples import Sample, samples

#: Seconds for all measurements together, and calls of one measurement at most.
_SECONDS, _CALLS = 2.0, 10_000
#: Items that a slice may span for jsonpath2, which makes a list of them all.
_LONGEST_SLICE = 1_000_000
#: Characters of an expression that are shown on either side of a fault.
_AROUND = 50

_WHERE = re.compile(r"\(line (\d+), column (\d+)\)")


def match(options: Namespace, settings: Settings) -> bool:
    """Try a JSONPath on events, and say why they match or not; true if one matches."""
    bounds = bounds_of(settings)
    try:
        expression = jsonpath.parse(options.jsonpath, bounds)
    except InvalidJSONPath as error:
        _mark(options.jsonpath, str(error))
        return False
    tried = samples(options)
    hints = matching.hints(options.jsonpath, bounds)
    said = [
        {"event": each.name, **matching.explain(options.jsonpath, each.event, options.results, bounds)}
        for each in tried
    ]
    matched = sum(each["matches"] for each in said)
    result: dict[str, Any] = {"jsonpath": options.jsonpath, "hints": hints, "tried": len(said), "matched": matched}
    if options.bench:
        result["bench"] = _measured(expression, bounds, tried)
    if options.oracle:
        result["disagreements"] = _disagreements(expression, tried)
    if options.json:
        write_json(result | {"events": said})
    else:
        _tell(result, said)
    return not result["disagreements"] if options.oracle else matched > 0


def _mark(text: str, fault: str) -> None:
    """Show where a fault of an expression is, and say what it is."""
    found = _WHERE.search(fault)
    if found:
        line, column = text.split("\n")[int(found[1]) - 1], int(found[2])
        start = max(0, column - 1 - _AROUND)
        shown = line[start : column - 1 + _AROUND].replace("\t", " ")
        complain(f"{shown}\n{' ' * (column - 1 - start)}^")
    complain(fault)


def _disagreements(expression: jsonpath.Expression, tried: list[Sample]) -> list[str]:
    """Name the events on which jsonpath2 decides otherwise."""
    slices = [part for part in syntax.parts(expression.path) if isinstance(part, syntax.Slice)]
    if any(abs(bound or 0) > _LONGEST_SLICE for each in slices for bound in (each.start, each.end)):
        return [f"jsonpath2 was not asked: it can't take a slice that spans more than {_LONGEST_SLICE} items"]
    if not oracle.accepts(expression.text):
        return ["jsonpath2 does not accept the expression"]
    found = []
    for each in tried:
        ours = _outcome(partial(jsonpath.find, expression, each.event))
        theirs = _outcome(partial(oracle.find, expression.text, each.event))
        if ours != theirs:
            found.append(f"{each.name}: {ours} here, {theirs} by jsonpath2")
    return found


def _outcome(find: Callable[[], bool]) -> str:
    try:
        return "a match" if find() else "no match"
    except (ValueError, NotificationsError, RecursionError) as error:
        # A slice with step 0 is one in both, in the same words or not.
        return "an error" if isinstance(error, ValueError) else f"an error ({error})"


def _measured(expression: jsonpath.Expression, bounds: jsonpath.Bounds, tried: list[Sample]) -> dict[str, Any]:
    """Measure parsing, finding by itself, and matching by an index that holds the expression alone; in microseconds."""
    index = matching.Index(bounds)
    index.add("it", expression.text)
    seconds = _SECONDS / (2 * len(tried) + 1)
    return {
        "parse": _time(partial(jsonpath.parse, expression.text, bounds), seconds),
        "events": [
            {
                "event": each.name,
                "find": _time(partial(_outcome, partial(jsonpath.find, expression, each.event)), seconds),
                "index": _time(partial(index.match, each.event), seconds),
            }
            for each in tried
        ],
    }


def _time(call: Callable[[], Any], seconds: float) -> float:
    """Give the microseconds of one call: the best of three measurements that take so long together."""
    timer = Timer(call)
    once = timer.timeit(1)
    calls = max(1, min(_CALLS, int(seconds / 3 / max(once, 1e-7))))
    return round(min(once, *(each / calls for each in timer.repeat(3, calls))) * 1e6, 2)


def _tell(result: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Print what was found for people."""
    for hint in result["hints"]:
        print(f"hint: {hint}")
    if "bench" in result:
        bench = result["bench"]
        rows = [
            (each["event"], _word(each), each["found"], times["find"], times["index"])
            for each, times in zip(said, bench["events"], strict=True)
        ]
        write_table(("event", "matches", "results", "find us", "index us"), rows)
        print(f"parsing takes {bench['parse']} us")
    else:
        for each in said:
            _tell_one(each)
    for disagreement in result.get("disagreements", ()):
        complain(disagreement)
    if result.get("disagreements") == []:
        print("jsonpath2 agrees")
    print(f"{result['matched']} of {result['tried']} {'event matches' if result['tried'] == 1 else 'events match'}")


def _word(said: dict[str, Any]) -> str:
    return "fails" if said["error"] else "yes" if said["matches"] else "no"


def _tell_one(said: dict[str, Any]) -> None:
    """Print the explanation of one event."""
    print(f"{said['event']}: {'matches' if said['matches'] else 'fails' if said['error'] else 'does not match'}")
    if said["error"]:
        print(f"    {said['error']}")
    for result in said["results"]:
        print(f"    {_shown(result)}")
    if said["found"] > len(said["results"]):
        print(f"    and {said['found'] - len(said['results'])} more")
    if said["nearest_miss"]:
        print(f"    {said['nearest_miss']}")
    print(f"    path: {', '.join(_step(step) for step in said['steps'])}")
    for each in said["filters"]:
        print(f"    filter at {each['location']}")
        _tell_condition(each, "        ")
    if said["stopped"]:
        print(f"    {said['stopped']}")
    print()


def _step(step: dict[str, Any]) -> str:
    return f"{step['step']} finds {step['values']}"


_TRUTH = {True: "true ", False: "false", None: "fails"}


def _tell_condition(found: dict[str, Any], indent: str) -> None:
    """Print a condition, the values that it is about, and its parts."""
    print(f"{indent}{_TRUTH[found['holds']]}  {found['expression']}")
    compared = found.get("compared_with", {})
    for value in [*found.get("values", ()), *compared.get("values", ())]:
        print(f"{indent}           {_shown(value)}")
    for side in (found, compared):
        if "count" in side:
            print(f"{indent}           and {side['count'] - len(side['values'])} more")
    for part in found.get("parts", ()):
        _tell_condition(part, f"{indent}    ")


def _shown(place: dict[str, Any]) -> str:
    text = place["text"] if "text" in place else matching.shortened(place["value"])
    return f"{place['location']} is {text}"
