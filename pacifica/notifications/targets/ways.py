"""The way to a target: its URL read, its name resolved, its addresses judged."""

from __future__ import annotations

from dataclasses import dataclass

from ..addresses import Address, Place, Policy, canonical, read
from ..resolving import Resolver
from ..retry import Failure, Outcome
from ..transfer import Pin

#: URLs that are remembered.
_REMEMBERED = 10000


@dataclass(slots=True)
class _Way:
    """What is known of a URL: where it leads, and by which addresses what came out."""

    place: Place | None
    judged: tuple[Address, ...] | None
    found: Pin | Outcome


class Ways:
    """Finds ways, each name anew once its answer is no longer fresh."""

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        """Know none yet."""
        self._policy = policy
        self._resolver = resolver
        self._known: dict[str, _Way] = {}

    def find(self, url: str, answer: tuple[Address, ...] | None = None) -> Pin | Outcome | str:
        """Give the addresses that a request may go to, or what became of it if there are none.

        A text is the name that has to be resolved first: it is asked, and ``answer`` is what came of it.
        """
        way = self._known.get(url) or self._read(url)
        if way.place is None or not way.place.name:
            return way.found
        addresses = self._resolver.known(way.place.name) if answer is None else answer
        if addresses is None:
            if isinstance(way.found, Outcome) and way.judged is None:
                return way.found
            self._resolver.ask(way.place.name)
            return way.place.name
        if way.judged is not addresses:
            way.judged, way.found = addresses, self._judge(way.place, addresses)
        return way.found

    def _read(self, url: str) -> _Way:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        way = self._known[url] = self._way(url)
        return way

    def _way(self, url: str) -> _Way:
        try:
            place = read(url)
        except ValueError as error:
            return _Way(None, None, _forbidden(str(error)))
        if place.address is not None:
            return _Way(place, None, self._judge(place, (place.address,)))
        refused = self._policy.of_place(place)
        return _Way(place, None, _forbidden(refused.reason) if refused else Pin(frozenset()))

    def _judge(self, place: Place, addresses: tuple[Address, ...]) -> Pin | Outcome:
        if not addresses:
            return Outcome(failure=Failure.DNS)
        verdict = self._policy.judge(place, addresses)
        if not verdict.allowed:
            return _forbidden(verdict.reason)
        pinned = frozenset(str(canonical(each)) for each in addresses)
        return Pin(pinned, place.name, place.port) if place.name else Pin(pinned)


def _forbidden(reason: str) -> Outcome:
    return Outcome(failure=Failure.FORBIDDEN, refusal=f"target_url: {reason}")
