"""What deliveries queue in: the lane of their target, or one of their subscription's own."""

from __future__ import annotations

from typing import Any

import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import EventLogMatch, EventMatch
from pacifica.notifications.retry import State

from .rows import again, deliveries, stored, subscription

pytestmark = pytest.mark.usefixtures("database")

URL = "https://Example.com/in"
PLACE = "https://example.com:443"
#: Members with which a subscription has a lane of its own.
OWN: list[dict[str, Any]] = [{"limits": {"in_flight": 1}}, {"limits": {"rate": 0.5}}, {"ordered": True}]


@pytest.mark.parametrize("members", [{}, {"ordered": False}, {"retry": {"schedule": [1]}}])
def test_a_delivery_queues_for_its_target(members: dict[str, Any]) -> None:
    """Deliveries to one scheme, host and port queue together, whosoever they are."""
    [row] = deliveries(owner=subscription(target_url=URL, **members))

    assert row.lane == PLACE
    assert row.starts == 0


@pytest.mark.parametrize("members", OWN)
def test_limits_and_an_order_are_a_lane(members: dict[str, Any]) -> None:
    """Deliveries of a subscription with limits or an order queue by themselves, also as it is read anew."""
    owner = subscription(target_url=URL, **members)

    [row] = deliveries(owner=owner)

    assert row.lane == str(owner.uuid) == again(owner).lane


@pytest.mark.parametrize("own", OWN)
def test_what_is_pending_moves_with_its_subscription(own: dict[str, Any]) -> None:
    """Another target, limits or an order take along what is pending, held or claimed; what has ended stays."""
    owner = subscription(target_url=URL)
    waiting, claimed, ended, held = deliveries(4, owner)
    other = deliveries(owner=subscription(target_url=URL))[0]
    write(ended, state=State.DEAD, finished=orm.now(), next_attempt_at=None)
    write(held, next_attempt_at=None)
    write(waiting, next_attempt_at=orm.now())
    [mine] = EventLogMatch.claim_due(1, 60, [claimed.event_log_id])

    found = []
    for members in ({"target_url": "http://new.example:8080/"}, own, {"limits": None, "ordered": False}):
        row = orm.change(again(owner), members)
        assert row is not None
        found.append([again(each).lane for each in (waiting, claimed, held, ended, other)])

    moved, own_lane = "http://new.example:8080", str(owner.uuid)
    assert found == [[lane, lane, lane, PLACE, PLACE] for lane in (moved, own_lane, moved)]
    assert (again(claimed).lease, again(claimed).next_attempt_at) == (mine.lease, mine.next_attempt_at)


def test_a_change_that_is_not_written_moves_nothing() -> None:
    """Of two changes of the same row the one that comes too late leaves the deliveries where they are."""
    owner = again(subscription(target_url=URL))
    [row] = deliveries(owner=owner)
    assert orm.change(owner, {"name": "new"})

    assert orm.change(owner, {"ordered": True}) is None

    assert again(row).lane == PLACE


def test_what_is_sent_again_queues_where_its_subscription_does_by_now() -> None:
    """A dead delivery that is reopened, and a replay, have the lane of the subscription as it is."""
    owner = subscription(target_url=URL)
    dead, delivered = deliveries(2, owner)
    write(dead, state=State.DEAD, finished=orm.now(), next_attempt_at=None, starts=5)
    write(delivered, state=State.DELIVERED, finished=orm.now(), next_attempt_at=None)
    assert orm.change(again(owner), {"ordered": True})

    EventLogMatch.reopen(dead)
    EventLogMatch.replay_of(delivered)

    replay = EventLogMatch.get(EventLogMatch.replay == 1)
    assert (again(dead).lane, again(dead).starts) == (str(owner.uuid), 0)
    assert replay.lane == str(owner.uuid)
    assert again(delivered).lane == PLACE


def test_the_caller_says_the_lane() -> None:
    """A router that read a subscription before its change gives the lane that it had; the owner's next one mends it."""
    owner = subscription(target_url=URL)
    event = stored()

    EventLogMatch.add(event, {owner.uuid: "as it was"})
    EventLogMatch.move(owner.uuid, owner.lane)

    assert EventLogMatch.of_events([event])[0].lane == PLACE


def write(row: EventLogMatch, **columns: Any) -> None:
    """Write columns of a delivery."""
    EventLogMatch.update(**columns).where(EventLogMatch.uuid == row.uuid).execute()


def test_a_long_place_has_room() -> None:
    """The longest place that a URL may have is a lane."""
    url = "https://" + ".".join(["a" * 63] * 3 + ["b" * 60]) + ":65535/in"

    [row] = deliveries(owner=subscription(target_url=url))

    assert row.lane == url.removesuffix("/in")
    assert EventMatch.get_by_id(row.event_match_id).lane == row.lane
