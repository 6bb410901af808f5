"""How a subscription wants to be sent to: `retry`, `limits`, `ordered`; shown, changed and removed by REST."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.doors import Doors
from tests.support.factories import make_subscription
from tests.support.watched import Watched

from .conftest import Start

KEYS = "uuid name jsonpath user disabled error target_url version extensions auth created updated deleted".split()
#: Where nobody listens; no name that would have to be looked up.
NOWHERE = "http://127.0.0.1:9/"
PLACE = "http://127.0.0.1:9"

SET: list[dict[str, Any]] = [
    {"retry": {"schedule": [5, 30.5], "jitter": 0.1}},
    {"retry": {"schedule": []}},
    {"retry": {"base": 5, "factor": 2, "cap": 3600, "total": 86400}},
    {"limits": {"in_flight": 2, "rate": 0.5}},
    {"ordered": True},
    {"retry": {"base": 0.5}, "limits": {"rate": 10}, "ordered": True},
]


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return f"user-{uuid4()}"


def made(service: Watched, user: str, **members: Any) -> dict[str, Any]:
    """Make a subscription to which nothing is ever sent, and return it as it was answered."""
    return service.subscribe(user, **make_subscription(**{"jsonpath": "$.nothing", "target_url": NOWHERE, **members}))


def changed(service: Watched, user: str, uuid: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Change a subscription and return it as it was answered."""
    answer = service.request("PUT", f"/eventmatch/{uuid}", user=user, json=sent)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("members", SET, ids=str)
def test_what_is_set_is_shown(service: Watched, user: str, members: dict[str, Any]) -> None:
    """What is set comes back as it was sent, behind the thirteen members, in every answer."""
    created = made(service, user, **members)

    assert list(created) == [*KEYS, *members]
    assert {name: created[name] for name in members} == members
    assert service.get(f"/eventmatch/{created['uuid']}", user=user).json() == created
    assert service.get("/eventmatch", user=user).json() == [created]


@pytest.mark.parametrize(
    "members", [{}, {"retry": None, "limits": None}, {"retry": {}, "limits": {}, "ordered": False}], ids=str
)
def test_what_is_not_set_is_not_shown(service: Watched, user: str, members: dict[str, Any]) -> None:
    """A subscription without any of it has exactly the thirteen members, as clients know them."""
    created = made(service, user, **members)

    assert list(created) == KEYS
    assert list(service.get(f"/eventmatch/{created['uuid']}", user=user).json()) == KEYS


@pytest.mark.parametrize("members", SET, ids=str)
def test_what_a_get_gave_can_be_sent_back(service: Watched, user: str, members: dict[str, Any]) -> None:
    """What GET gives is taken as it is, and changes nothing but the time."""
    created = made(service, user, **members)
    shown = service.get(f"/eventmatch/{created['uuid']}", user=user).json()

    sent_back = changed(service, user, created["uuid"], shown)

    assert sent_back == shown | {"updated": sent_back["updated"]}


def test_a_change_leaves_what_is_not_sent(service: Watched, user: str) -> None:
    """Each member is changed by itself; the others stay."""
    created = made(service, user, **SET[-1])
    uuid = created["uuid"]

    renamed = changed(service, user, uuid, {"name": "new"})
    other = changed(service, user, uuid, {"retry": {"schedule": [1]}})

    assert {name: renamed[name] for name in SET[-1]} == SET[-1]
    assert {name: other[name] for name in SET[-1]} == SET[-1] | {"retry": {"schedule": [1]}}


@pytest.mark.parametrize("nothing", [None, {}])
def test_what_was_set_can_be_removed(service: Watched, user: str, nothing: Any) -> None:
    """Null and the empty object remove `retry` and `limits`, false removes the order: thirteen members are left."""
    uuid = made(service, user, **SET[-1])["uuid"]

    removed = [
        list(changed(service, user, uuid, sent))[len(KEYS) :]
        for sent in ({"retry": nothing}, {"limits": nothing}, {"ordered": False})
    ]

    assert removed == [["limits", "ordered"], ["ordered"], []]


BAD: list[tuple[dict[str, Any], set[str]]] = [
    ({"retry": 5, "limits": [], "ordered": "yes"}, {"/retry", "/limits", "/ordered"}),
    ({"retry": {"schedule": [5, 30, 120, -1, None]}}, {"/retry/schedule/3", "/retry/schedule/4"}),
    ({"retry": {"base": 0, "jitter": 1}, "limits": {"rate": -1}}, {"/retry/base", "/retry/jitter", "/limits/rate"}),
    ({"retry": {"base": 10, "cap": 5}, "ordered": None}, {"/retry/cap", "/ordered"}),
    ({"retry": {"schedule": [5], "factor": 2}, "name": ""}, {"/retry/factor", "/name"}),
    ({"limits": {"in_flight": 0, "per_day": 7}}, {"/limits/in_flight", "/limits/per_day"}),
]


@pytest.mark.parametrize(("members", "pointers"), BAD, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_every_fault_is_named(service: Watched, user: str, members: dict[str, Any], pointers: set[str]) -> None:
    """A mistake in any of it is a 400 that names each place, in POST and in PUT, and changes nothing."""
    created = made(service, user)

    answers = [
        service.request("POST", "/eventmatch", user=user, json=make_subscription(target_url=NOWHERE, **members)),
        service.request("PUT", f"/eventmatch/{created['uuid']}", user=user, json=members),
    ]

    for answer in answers:
        assert answer.status_code == 400
        assert {error["pointer"] for error in answer.json()["errors"]} == pointers
    assert service.get("/eventmatch", user=user).json() == [created]


def test_deliveries_follow_into_the_lane(doors: Doors) -> None:
    """Deliveries queue for the target until their subscription has limits or an order, and move with a change."""
    subscription = doors.subscribe(NOWHERE)
    doors.subscribe(NOWHERE)
    doors.accept()
    doors.route()

    found = []
    for members in ({"ordered": True}, {"ordered": False}, {"limits": {"rate": 1}}, {"target_url": "http://[::1]/"}):
        doors.change(subscription, **members)
        doors.accept()
        doors.route()
        found.append([delivery.lane for delivery in doors.deliveries(subscription=subscription)])

    own = str(subscription)
    assert found == [[own] * 2, [PLACE] * 3, [own] * 4, [own] * 5]
    assert {delivery.lane for delivery in doors.deliveries()} == {own, PLACE}
