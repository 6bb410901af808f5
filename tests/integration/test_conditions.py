"""Entity tags and conditions: a change for another state than the present one is refused, what is known is not sent."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.support.factories import make_subscription
from tests.support.watched import Watched

from .conftest import Start

NOWHERE = "http://127.0.0.1:9/"
AUTH = {"type": "basic", "basic": {"username": "me", "password": "first"}}


@pytest.fixture(scope="module")
def database_kind() -> str:
    """SQLite alone: that a change is made of the row that was read is tested on every database in `contract`."""
    return "sqlite"


@pytest.fixture(scope="module")
def service(start: Start) -> Watched:
    """A service with nothing set."""
    return start()


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return f"user-{uuid4()}"


@pytest.fixture
def made(service: Watched, user: str) -> requests.Response:
    """The answer to a new subscription."""
    sent = make_subscription(jsonpath="$.nothing", target_url=NOWHERE, auth=AUTH)
    answer = service.request("POST", "/eventmatch", user=user, json=sent)
    assert answer.status_code == 200
    return answer


def path_of(made: requests.Response) -> str:
    """Return the path of a subscription."""
    return f"/eventmatch/{made.json()['uuid']}"


def get(service: Watched, path: str, user: str, **headers: str) -> requests.Response:
    """Ask with conditions; `If_None_Match` is the header `If-None-Match`."""
    return service.get(path, user=user, headers={name.replace("_", "-"): value for name, value in headers.items()})


def put(service: Watched, made: requests.Response, user: str, sent: dict[str, Any], **headers: str) -> Any:
    """Change a subscription with conditions."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.request("PUT", path_of(made), user=user, json=sent, headers=named)


def test_one_state_has_one_tag(service: Watched, user: str, made: requests.Response) -> None:
    """GET, HEAD, POST and PUT give the same strong tag for the same state, and another one for another."""
    path = path_of(made)
    read, head = service.get(path, user=user), service.request("HEAD", path, user=user)
    answer = put(service, made, user, {"name": "other"})
    after = service.get(path, user=user)

    assert made.headers["ETag"] == read.headers["ETag"] == head.headers["ETag"]
    assert answer.headers["ETag"] == after.headers["ETag"] != made.headers["ETag"]
    assert read.headers["ETag"].startswith('"')
    assert read.headers["Cache-Control"] == "private, no-cache"


def test_a_secret_that_is_not_shown_changes_the_tag(service: Watched, user: str, made: requests.Response) -> None:
    """Another password is another state, though no answer shows it."""
    other = AUTH | {"basic": {"username": "me", "password": "second"}}

    answer = put(service, made, user, {"auth": other})

    assert answer.headers["ETag"] != made.headers["ETag"]


def test_a_change_made_for_the_present_state(service: Watched, user: str, made: requests.Response) -> None:
    """With the present tag in `If-Match`, alone, among others, or as `*`, a change is made."""
    tag = made.headers["ETag"]
    for condition in ("{tag}", '"x", {tag} ,W/"y"', "*"):
        answer = put(service, made, user, {"name": "next"}, If_Match=condition.format(tag=tag))
        assert answer.status_code == 200, condition
        tag = answer.headers["ETag"]


@pytest.mark.parametrize(
    "condition", ['"other"', "W/{tag}", '"{bare}x"', '"x", "y"', "{old}"], ids=["other", "weak", "longer", "two", "old"]
)
def test_a_change_made_for_another_state(service: Watched, user: str, made: requests.Response, condition: str) -> None:
    """Otherwise PUT and DELETE are a 412 that says what to do, and nothing is changed; weak tags name no state."""
    old = made.headers["ETag"]
    tag = put(service, made, user, {"name": "present"}).headers["ETag"]
    named = condition.format(tag=tag, bare=tag.strip('"'), old=old)

    answers = [
        put(service, made, user, {"name": "lost"}, If_Match=named),
        service.request("DELETE", path_of(made), user=user, headers={"If-Match": named}),
    ]

    for answer in answers:
        assert answer.status_code == 412
        assert answer.json()["status"] == "412 Precondition Failed"
        assert "If-Match" in answer.json()["message"]
    assert get(service, path_of(made), user).headers["ETag"] == tag


def test_a_change_unless_it_is_known(service: Watched, user: str, made: requests.Response) -> None:
    """`If-None-Match` with the present tag, or `*`, refuses a change (RFC 9110, section 13.1.2)."""
    tag = made.headers["ETag"]

    for condition in (tag, f"W/{tag}", "*"):
        assert put(service, made, user, {"name": "x"}, If_None_Match=condition).status_code == 412
    assert put(service, made, user, {"name": "x"}, If_None_Match='"other"').status_code == 200


@pytest.mark.parametrize("condition", ["", "abc", "'a'", '"a', '"a" b', '*, "a"', 'w/"a"', '" "'])
def test_a_condition_that_cannot_be_read(service: Watched, user: str, made: requests.Response, condition: str) -> None:
    """A condition of another form is a 400 that names the header: a client which means one wants no change without."""
    answer = put(service, made, user, {"name": "x"}, If_Match=condition)

    assert answer.status_code == 400
    assert "If-Match" in answer.json()["message"]


def test_deleting_the_present_state(service: Watched, user: str, made: requests.Response) -> None:
    """DELETE with the present tag deletes."""
    answer = service.request("DELETE", path_of(made), user=user, headers={"If-Match": made.headers["ETag"]})

    assert (answer.status_code, answer.content) == (200, b"")


def test_conditions_tell_nothing_of_others(service: Watched, user: str, made: requests.Response) -> None:
    """What is foreign, unknown or deleted answers the same with conditions as without."""
    for condition in ("*", made.headers["ETag"], "broken"):
        headers = {"If-Match": condition, "If-None-Match": condition}
        for path in (path_of(made), f"/eventmatch/{uuid4()}"):
            for method in ("GET", "PUT", "DELETE"):
                answer = service.request(method, path, user="somebody-else", json={"name": "x"}, headers=headers)
                assert answer.status_code == 403


def test_of_changes_at_once_for_one_state_one_is_made(service: Watched, user: str, made: requests.Response) -> None:
    """Of many changes and deletions that are made for one state at the same time exactly one is made."""
    tag = made.headers["ETag"]
    for _ in range(10):
        barrier = threading.Barrier(6)
        answers: list[requests.Response] = []

        def change(number: int, tag: str = tag, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            answers.append(put(service, made, user, {"name": f"n{number}"}, If_Match=tag))  # noqa: B023 - joined below

        threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
        (written,) = (answer for answer in answers if answer.status_code == 200)
        now = get(service, path_of(made), user)
        assert (now.headers["ETag"], now.json()["name"]) == (written.headers["ETag"], written.json()["name"])
        tag = written.headers["ETag"]


PATHS = ["/eventmatch", "/eventmatch?sort=-name&limit=1", "{one}", "/", "/schemas/event", "/schemas/eventmatch"]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_known_is_not_sent(service: Watched, user: str, made: requests.Response, path: str) -> None:
    """GET and HEAD with the tag of what the client has are a 304 without a body; with another tag they are not."""
    path = path.replace("{one}", path_of(made))
    full = get(service, path, user)
    tag = full.headers["ETag"]

    for condition in (tag, f"W/{tag}", f'"x",{tag}', "*"):
        answers = [
            service.request(method, path, user=user, headers={"If-None-Match": condition}) for method in ("GET", "HEAD")
        ]
        for answer in answers:
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
            assert "Content-Type" not in answer.headers
    for condition in ('"x"', f"{tag[:-1]}", "x"):
        again = get(service, path, user, If_None_Match=condition)
        assert (again.status_code, again.content) == (200, full.content)


def test_a_list_that_changed_is_sent(service: Watched, user: str, made: requests.Response) -> None:
    """A list has another tag once one of its subscriptions was changed, came or went, and for another user."""
    seen = {get(service, "/eventmatch", name).headers["ETag"] for name in (user, "nobody-at-all")}
    for change in (
        lambda: put(service, made, user, {"name": "other"}),
        lambda: service.subscribe(user, **make_subscription(target_url=NOWHERE)),
        lambda: service.request("DELETE", path_of(made), user=user),
    ):
        change()
        answer = get(service, "/eventmatch", user, If_None_Match=", ".join(seen))
        assert answer.status_code == 200
        seen.add(answer.headers["ETag"])

    assert len(seen) == 5
