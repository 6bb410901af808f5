"""Which deliveries may be sent now: a target that is slow, full or shut keeps nobody else's waiting."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from .. import orm
from ..config import Settings
from ..retry import Outcome

#: Attempts in flight to a target at first, and to one that does not answer.
_FIRST, _FEWEST = 4.0, 2.0
#: Seconds within which an answer shows that a target can take more, and beyond which that it has too much.
_QUICK, _SLOW = 1.0, 5.0
#: Seconds after which all that is due is looked through again, whoever passed it over.
_ANEW = 5.0
#: Share of a worker's time that this takes at most, as its inverse.
_ANEW_SHARE = 20.0
#: Seconds by which a row may become visible after the time that stands in it.
_LATE = timedelta(seconds=2)
#: Pages that are looked through in one round, and lanes that are asked for their own rows.
_PAGES, _LANES = 10, 16
#: Seconds for which a lane that gave nothing is left alone, and lanes that are asked in vain in a second at most.
_PAUSE, _ASKED = 0.2, 100.0
#: So few lanes are all asked again when somebody says that there is something to do.
_FEW = 100
#: Seconds between two looks at the targets that fail, and between two for what is due in any lane.
_LOOK, _LOOK_FOR_DUE = 0.5, 0.05
#: Targets that are remembered although nothing is in hand for them.
_REMEMBERED = 5000


@dataclass(slots=True)
class _Place:
    """A target as this worker sees it: how many attempts it may have in flight, and how many it has.

    A target whose breaker is half-open gets one attempt of one worker, that of this one while ``looking``;
    ``quick`` is one whose last answer was, ``failures`` are those in a row that this worker saw. ``held`` is one that
    failed too often, or asked to be left alone, until that is written down and so known to all.
    """

    cap: float
    in_flight: int = 0
    shut_until: float = 0.0
    half_open: bool = False
    looking: bool = False
    quick: bool = False
    failures: int = 0
    held: bool = False

    def free(self, now: float) -> int:
        """Count what may be claimed for it."""
        if self.left_alone(now):
            return 0
        return max(0, (1 if self.half_open else int(self.cap)) - self.in_flight)

    def left_alone(self, now: float) -> bool:
        """Tell whether nothing may be sent to it."""
        return self.held or now < self.shut_until

    def worth(self) -> int:
        """Count what has to be free to make a look at its lane worth it."""
        return max(1, int(self.cap) // 2) if self.quick and not self.half_open else 1


@dataclass(slots=True)
class _Lane:
    """Deliveries that were passed over, due since ``since`` (None: unknown); left alone until ``quiet_until``."""

    since: datetime | None
    quiet_until: float = 0.0


class Lanes:
    """Claims fairly: from each target no more than it takes at once, from one that is shut nothing.

    A target takes few at first, more as long as it answers quickly, fewer when it does not. What was passed over
    stands in a lane, by its target or by its subscription, that is asked by itself when there is room.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; ``clock`` gives seconds."""
        self._delivery = settings.delivery
        self._probe = settings.delivery.timeout + settings.delivery.lease
        self._clock = clock
        self._most = float(settings.delivery.target_in_flight)
        self._unproven = max(int(_FIRST), settings.delivery.in_flight // 2)
        self._places: dict[str, _Place] = {}
        self._held: list[_Place] = []
        self._waiting: dict[str, _Lane] = {}
        self._place_of: dict[str, str] = {}
        self._after: datetime | None = None
        self._anew_at = 0.0
        self._look_at = 0.0
        self._page_at = 0.0
        self._turn = False
        self._not_quick = 0
        #: Whether there may be more that is due, in lanes or behind the rows that were looked at.
        self.more = False

    def restart(self) -> None:
        """Look at all that is due again, from the longest due on."""
        now = self._clock()
        self._after = None
        for name, lane in self._waiting.items():
            lane.since = None
            # Its subscription may have another target by now.
            if name in self._place_of and self._place(self._place_of[name]).left_alone(now):
                del self._place_of[name]
        self.wake()

    def wake(self) -> None:
        """Look at what is due in any lane, and at the targets that fail, with the next claim."""
        self._look_at = 0.0
        self.look_again()

    def look_again(self) -> None:
        """Look at what is due in any lane with the next claim."""
        self._page_at = 0.0
        if len(self._waiting) <= _FEW:
            for lane in self._waiting.values():
                lane.quiet_until = 0.0

    @property
    def slow(self) -> int:
        """Count the attempts in flight to targets whose last answer was not quick, or which have not answered yet."""
        return self._not_quick

    def due(self) -> bool:
        """Tell whether a claim is worth it: there is room in a lane that waits, or it is time to look at them all."""
        return self._clock() >= self._page_at or bool(self._ready(1))

    def claim(self, room: int) -> list[orm.Claimed]:
        """Claim at most ``room`` deliveries; to be called within a session."""
        self._learn()
        now = self._clock()
        anew = now >= self._anew_at
        if anew:
            self.restart()
        claimed: list[orm.Claimed] = []
        self._turn = not self._turn
        # Half of it for those that wait; of one place every other.
        for_pages = room // 2 + int(room % 2 and self._turn) if self._ready(1) else room
        if now >= self._page_at and for_pages:
            claimed = self._claim_pages(for_pages)
            self._page_at = 0.0 if claimed or self.more else now + _LOOK_FOR_DUE
        if anew:
            # The longer it takes the less often.
            self._anew_at = self._clock() + max(_ANEW, _ANEW_SHARE * (self._clock() - now))
        lanes = self._ready(_LANES)
        claimed += self._claim_lanes(lanes, room - len(claimed))
        self.more |= len(lanes) == _LANES
        return claimed

    def _ready(self, most: int) -> list[str]:
        """Give lanes that wait and have room for enough."""
        return list(islice((name for name in self._waiting if self._free(name) >= self._worth(name)), most))

    def _worth(self, lane: str) -> int:
        """Count what has to be free to make a look at a lane worth it."""
        return 1 if _is_own(lane) else self._place(lane).worth()

    def full(self, place: str) -> bool:
        """Tell whether a target takes nothing more now."""
        found = self._place(place)
        if found.looking and not found.in_flight:
            # The attempt that looks whether it is back.
            return False
        return self._room_at(found, self._clock()) <= 0

    def shut(self) -> list[str]:
        """Name targets that are left alone."""
        now = self._clock()
        return [name for name, place in self._places.items() if place.left_alone(now)]

    def goes_to(self, lane: str, place: str) -> bool:
        """Note where a subscription's own lane goes; tell whether that was not known."""
        unknown = _is_own(lane) and self._place_of.get(lane) != place
        if unknown:
            self._place_of[lane] = place
        return unknown

    def unused(self, place: str) -> None:
        """Give back the attempt that looks whether a target is back, if nothing was sent."""
        found = self._places.get(place)
        if found is not None and found.looking and not found.in_flight:
            with orm.session():
                orm.TargetState.leave(place)
            found.looking, found.shut_until = False, 0.0

    def settled(self, lanes: Iterable[str]) -> None:
        """Note that something of these lanes is in hand no more."""
        for name in lanes:
            if name in self._waiting:
                self._waiting[name].quiet_until = 0.0

    def written(self) -> None:
        """Note that what is known of targets is written down; look at it before the next claim."""
        self._look_at = 0.0
        while self._held:
            self._held.pop().held = False

    def sent(self, lane: str, place: str) -> None:
        """Note that an attempt has begun, and where it goes."""
        found = self._place(place)
        found.in_flight += 1
        self._not_quick += not found.quick
        if _is_own(lane):
            self._place_of[lane] = place

    def ended(self, lane: str, place: str, outcome: Outcome) -> None:
        """Note what came of an attempt."""
        found = self._place(place)
        found.looking = False
        failed = outcome.counts_for_target
        slow = failed or outcome.seconds > _SLOW
        found.failures = found.failures + 1 if failed else 0
        if outcome.retry_after or 0 < self._delivery.breaker_failures <= found.failures:
            found.held, found.failures = True, 0
            self._held.append(found)
        if slow:
            found.cap = max(_FEWEST, found.cap / 2)
        elif outcome.seconds < _QUICK and found.in_flight > found.cap / 2:
            found.cap = min(self._most, found.cap + 1)
        self._not_quick -= 0 if found.quick else found.in_flight
        found.in_flight = max(0, found.in_flight - 1)
        found.quick = not slow and outcome.seconds < _QUICK
        self._not_quick += 0 if found.quick else found.in_flight

    def _place(self, name: str) -> _Place:
        found = self._places.get(name)
        if found is None:
            found = self._places[name] = _Place(min(_FIRST, self._most))
        return found

    def _learn(self) -> None:
        """Take up what all workers know about the targets that fail."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK
        troubled = orm.TargetState.troubled()
        for name, place in list(self._places.items()):
            if name not in troubled:
                place.shut_until, place.half_open = 0.0, False
                if not (place.in_flight or place.held) and len(self._places) > _REMEMBERED:
                    del self._places[name]
        for name, (left, half_open) in troubled.items():
            place = self._place(name)
            place.shut_until, place.half_open = now + left, half_open

    def _free(self, lane: str) -> int:
        """Count what may be claimed from a lane; where its target is not known yet, one."""
        now = self._clock()
        found = self._waiting.get(lane)
        if found is not None and now < found.quiet_until:
            return 0
        if _is_own(lane) and lane not in self._place_of:
            return 1
        return self._room_at(self._place(self._place_of.get(lane, lane)), now)

    def _room_at(self, place: _Place, now: float) -> int:
        """Count what may be claimed for a target; all that are not known to be quick share half of what may be."""
        free = place.free(now)
        return free if place.quick else min(free, max(0, self._unproven - self._not_quick))

    def _claim_pages(self, room: int) -> list[orm.Claimed]:
        """Claim from all lanes that do not wait, in the order in which deliveries became due."""
        now = self._clock()
        claimed: list[orm.Claimed] = []
        for _ in range(_PAGES):
            for name, place in self._places.items():
                if not self._room_at(place, now) and name not in self._waiting:
                    self._waiting[name] = _Lane(None)
            page = orm.claim_page(self._choice(), room, self._delivery.lease, self._after, self._waiting)
            for name, due in page.left.items():
                self._waiting.setdefault(name, _Lane(due))
            self._after = page.seen_until - _LATE if page.whole else page.seen_until
            self.more = not page.whole
            claimed += page.claimed
            if claimed or page.whole:
                break
        return claimed

    def _choice(self) -> orm.Choice:
        """Say which rows of a page are claimed: of each target as many as it takes, unless its lane is to be asked."""
        now = self._clock()

        def choose(lanes: Sequence[str]) -> list[bool]:
            free: dict[str, int] = {}
            chosen = []
            for lane in lanes:
                left = free.get(lane)
                if left is None:
                    left = free[lane] = self._takes(lane, now)
                if left:
                    free[lane] = left - 1
                chosen.append(left > 0)
            return chosen

        return choose

    def _takes(self, lane: str, now: float) -> int:
        """Count what may be claimed from a lane among others: nothing from one that has to be asked by itself."""
        if _is_own(lane):
            return 0
        place = self._place(lane)
        return 0 if place.half_open or self._delivery.target_rate else max(0, self._room_at(place, now))

    def _claim_lanes(self, ready: Sequence[str], room: int) -> list[orm.Claimed]:
        """Claim from lanes, of each its share; one that has less is asked again when something is passed over."""
        shares: dict[str, int] = {}
        for position, name in enumerate(ready):
            even = -(-(room - sum(shares.values())) // (len(ready) - position))
            if even > 0:
                shares[name] = self._allowed(name, min(even, self._free(name)))
        shared = {name: share for name, share in shares.items() if not _is_own(name)}
        asked = {name: (share, self._waiting[name].since) for name, share in shared.items() if share}
        claimed = orm.claim_lanes(asked, self._delivery.lease) if asked else []
        last = {row.lane: row.due for row in claimed}
        counts = Counter(row.lane for row in claimed)
        for name, share in shared.items():
            self._asked(name, counts[name], share == 0 or counts[name] == share, last.get(name))
        for name in shares.keys() - shared.keys():
            own, more = (
                orm.claim_limited(UUID(name), shares[name], self._delivery.lease) if shares[name] else ([], True)
            )
            claimed += own
            self._asked(name, len(own), more)
        taken = {self._place_of.get(row.lane, row.lane) for row in claimed}
        for name in {self._place_of.get(name, name) for name in shares} - taken:
            self.unused(name)
        return claimed

    def _allowed(self, lane: str, share: int) -> int:
        """Count what may be claimed of a share: one for a target that is looked at, and no more than its rate."""
        name = self._place_of.get(lane, lane)
        if _is_own(name):
            return share
        place, rate = self._place(name), self._delivery.target_rate
        if share and place.half_open:
            share = int(orm.TargetState.probe(name, self._probe))
            place.looking, place.shut_until = bool(share), self._clock() + self._probe
        return orm.TargetState.take(name, rate, share) if share and rate else share

    def _asked(self, name: str, count: int, more: bool, last: datetime | None = None) -> None:
        """Note what a lane gave; it goes to the end of the line, so that the others have their turn."""
        lane = self._waiting.pop(name)
        if more:
            self._waiting[name] = lane
            lane.since = last or lane.since
            # The more they are the less often each is asked: some hundred in a second.
            lane.quiet_until = 0.0 if count else self._clock() + max(_PAUSE, len(self._waiting) / _ASKED)


def _is_own(lane: str) -> bool:
    """Tell whether a lane is a subscription's own."""
    return "://" not in lane and bool(lane)
