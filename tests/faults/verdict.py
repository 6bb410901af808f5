"""What came of a run: what was lost, what came twice, and whether all is again as it was."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.sink import Arrival


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one run from outside, and what its rows say at the end.

    Deliveries are named as (subscription's path, number of the event).
    """

    #: Numbers of the events that were sent, that were answered 2xx, and that have a row (with repeats).
    sent: Sequence[int]
    acked: Sequence[int]
    rows: Sequence[int]
    #: Paths of the subscriptions that must get every event whose number is a multiple of this.
    paths: Mapping[str, int]
    arrivals: Sequence[Arrival]
    dead: Sequence[tuple[str, int]]
    #: Statuses of the answers that `/receive` gave.
    statuses: Sequence[int]
    #: Deliveries that have not ended, events not routed, leases still held, messages in the queue.
    unended: int
    unrouted: int
    leased: int
    queued: int
    #: Whether the subscriptions are told as before.
    unchanged: bool
    #: The most deliveries that may come again: kills times those in flight.
    bound: int


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words, with the figures for the table."""

    lost: int = 0
    duplicates: int = 0
    problems: list[str] = field(default_factory=list)


def judge(seen: Evidence) -> Verdict:
    """Hold a run against what is promised."""
    found = Verdict()
    taken = [arrival for arrival in seen.arrivals if arrival.status == 200]
    delivered = {(arrival.path, int(arrival.id)) for arrival in taken}
    wanted = {(path, number) for path, every in seen.paths.items() for number in seen.acked if number % every == 0}
    lost = wanted - delivered - set(seen.dead)
    found.lost = len(lost)
    found.duplicates = len(taken) - len({(arrival.path, arrival.id) for arrival in taken})
    say = found.problems.append
    if lost:
        say(f"lost: {_some(lost)}")
    unexpected = {number for _, number in delivered} - set(seen.sent)
    if unexpected:
        say(f"delivered and never sent: {_some(unexpected)}")
    unwanted = {(path, number) for path, number in delivered if number % seen.paths.get(path, 1)}
    if unwanted:
        say(f"delivered and not subscribed to: {_some(unwanted)}")
    if found.duplicates > seen.bound:
        say(f"{found.duplicates} came again, {seen.bound} may")
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for arrival in seen.arrivals:
        ids[arrival.path, arrival.id].add(arrival.delivery)
    several = [pair for pair, deliveries in ids.items() if len(deliveries) > 1]
    if several:
        say(f"came again under another delivery id: {_some(several)}")
    repeated = [number for number, count in Counter(seen.rows).items() if count > 1]
    if repeated:
        say(f"several rows for one event: {_some(repeated)}")
    missing = set(seen.acked) - set(seen.rows)
    if missing:
        say(f"answered 2xx and no row: {_some(missing)}")
    bad = [status for status in seen.statuses if not 200 <= status < 300 and status != 503]
    if bad:
        say(f"answers other than 2xx and 503: {sorted(set(bad))}")
    for count, what in (
        (seen.unended, "deliveries have not ended"),
        (seen.unrouted, "events are not routed"),
        (seen.leased, "rows are still leased"),
        (seen.queued, "messages are still in the queue"),
    ):
        if count:
            say(f"{count} {what}")
    if not seen.unchanged:
        say("a subscription was changed or disabled")
    return found


def _some(things: object) -> str:
    listed = sorted(things)  # type: ignore[call-overload]
    return f"{len(listed)} ({', '.join(map(str, listed[:5]))}{', …' if len(listed) > 5 else ''})"
