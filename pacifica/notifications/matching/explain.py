"""Says why an event matches an expression, or how near it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import jsonpath
from ..errors import NotificationsError
from ..jsonpath import syntax
from .telling import wording
from .telling.findings import Ends, find_out
from .telling.misses import nearest
from .telling.places import Place
from .telling.walk import Walk, Way, Weary

#: Values and comparisons that are looked at to follow a path, and again to find out about filters.
LIMIT = 50_000


def explain(text: str, event: Any, results: int = 5, bounds: jsonpath.Bounds | None = None) -> dict[str, Any]:
    """Explain an expression on an event, a value of ``json.loads``; everything in it can go out as JSON.

    ``matches`` is what ``jsonpath.find`` answers, and false with an ``error`` where that raises. All else takes a
    bounded time, and ``stopped`` says where an event is too large for the whole of it. Raises ``InvalidJSONPath``.
    """
    expression = jsonpath.parse(text, bounds)
    matches, error = False, None
    try:
        matches = jsonpath.find(expression, event)
    except (NotificationsError, ValueError) as raised:
        error = str(raised)
    story = _Story(expression.path, results)
    story.follow(event)
    story.find_out(event, matches)
    return {
        "jsonpath": text,
        "matches": matches,
        "error": error and (story.failure or error),
        "results": [] if error else [place.shown() for place in story.results],
        "found": 0 if error else story.count,
        "furthest": story.way[-1].location if story.way else "$",
        "nearest_miss": story.miss if not error else None,
        "steps": story.steps,
        "filters": story.filters,
        "stopped": story.stopped,
    }


@dataclass(slots=True)
class _Story:
    """What happened to a path on an event."""

    path: syntax.Path
    wanted: int
    ends: Ends = field(default_factory=Ends)
    #: The first results, the number of all, and the way to the first of them or to the nearest miss.
    results: list[Place] = field(default_factory=list)
    count: int = 0
    way: Way = ()
    miss: str | None = None
    filters: list[dict[str, Any]] = field(default_factory=list)
    failure: str | None = None
    stopped: str | None = None

    def follow(self, event: Any) -> None:
        """Follow the path to its results."""
        walk = Walk(event, LIMIT)
        try:
            for way in walk.ways(self.path, walk.event, self.ends):
                self.count += 1
                self.way = self.way or way
                if len(self.results) < self.wanted:
                    self.results.append(way[-1])
        except ValueError:
            failure = f"a slice with step 0 meets a list, behind `{self.ends.last[-1].location}`"
            if self.count:
                # No error any more: whoever matches does not look beyond the first result.
                self.stopped = failure
            else:
                self.failure = failure
        except (Weary, RecursionError):
            self.stopped = f"there is more to look at than {LIMIT} values; the rest is left out"

    def find_out(self, event: Any, matches: bool) -> None:
        """Find out where it came nearest, if it does not match, and what became of the filters on the way."""
        walk = Walk(event, LIMIT)
        try:
            miss = nearest(walk, self.path, self.ends) if not matches else None
            self.way = self.way or (miss.way if miss else self.ends.last)
            self.miss = miss.told(walk) if miss else None
            for step, place in zip(self.path.steps, self.way, strict=False):
                for each in step.subscripts if isinstance(step, syntax.Child) else ():
                    if isinstance(each, syntax.Filter):
                        found = find_out(walk, each.condition, place).to_hash()
                        self.filters.append({"filter": wording.step(syntax.Child((each,)))} | place_of(place) | found)
        except (Weary, RecursionError):
            self.stopped = self.stopped or f"there is more to find out about than {LIMIT} values; the rest is left out"

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Give each step that found something on the way, and how many values it found in the whole event."""
        written = [self.path.anchor, *map(wording.step, self.path.steps)]
        return [
            {"step": step, "values": count} | place_of(place)
            for step, count, place in zip(written, self.ends.counts, self.way, strict=False)
        ]


def place_of(place: Place) -> dict[str, str]:
    """Give the location of a place alone."""
    return {"location": place.location}
