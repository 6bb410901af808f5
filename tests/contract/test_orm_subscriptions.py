"""Subscriptions in the database: one owner, one writer at a time, and revisions that leave no gap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from pacifica.notifications import orm
from pacifica.notifications.orm import EventMatch, SubscriptionRevision
from pacifica.notifications.subscriptions import place
from tests.support.factories import make_subscription

from .rows import again, at_once, broken_off, subscription

pytestmark = pytest.mark.usefixtures("database")

BASIC = {"type": "basic", "basic": {"username": "me", "password": "secret"}}


def test_a_new_subscription_has_its_thirteen_members() -> None:
    """What was sent is stored, the rest has its defaults, times come from the database's clock."""
    before = orm.now()

    row = again(EventMatch.add("alice", make_subscription(auth=BASIC, extensions={"é": [1]}, name="n" * 255)))

    shown = row.to_hash(clear_auth=True)
    assert (row.name, row.user, shown["version"]) == ("n" * 255, "alice", "v0.1")
    assert (shown["disabled"], shown["error"], shown["deleted"]) == (None, None, None)
    assert (shown["auth"], shown["extensions"]) == (BASIC, {"é": [1]})
    assert before <= row.created == row.updated <= orm.now()
    assert row.revision == SubscriptionRevision.current() == 1


def test_a_subscription_may_begin_disabled() -> None:
    """A new subscription with a time in `disabled` is disabled from now."""
    row = again(subscription(disabled=True))

    assert row.disabled == row.created


@pytest.mark.parametrize(("naive", "end"), [(False, "Z"), (True, "")])
def test_times_are_shown_in_utc_with_six_decimals(naive: bool, end: str) -> None:
    """Every time in an answer has six decimals, and Z unless the setting takes it away."""
    row = subscription()
    for moment in ("2026-11-22 17:30:00.000000", "2026-11-22 17:30:00.123000"):
        EventMatch.update(created=moment).execute()

        assert again(row).to_hash(naive=naive)["created"] == moment.replace(" ", "T") + end


@pytest.mark.parametrize("text", [None, "", "{}", "null", "[]"])
def test_old_ways_to_say_no_auth_read_as_none(text: str | None) -> None:
    """A row from before `auth` shows the empty object."""
    row = subscription()
    EventMatch.update(auth=text).execute()

    assert again(row).to_hash()["auth"] == {}
    assert again(row).auth_values == {}


def test_a_subscription_is_its_owners() -> None:
    """Nobody else finds it, and nobody at all once it is deleted."""
    row = subscription("alice")

    assert EventMatch.of("alice", row.uuid) == row
    assert EventMatch.of("bob", row.uuid) is None
    assert EventMatch.of("Alice", row.uuid) is None
    assert EventMatch.of("alice", uuid4()) is None
    assert orm.remove(row)
    assert EventMatch.of("alice", row.uuid) is None
    assert EventMatch.all_of("alice") == []
    assert EventMatch.by_uuid([row.uuid])[row.uuid].deleted is not None


def test_the_list_is_narrowed_and_in_order() -> None:
    """A user's list is oldest first, and can be narrowed by each of its members."""
    start = orm.now() - timedelta(hours=1)
    rows = [subscription(name=name, target_url=f"http://{name}.example/") for name in ("a", "b", "a%b")]
    subscription("bob")
    for age, row in enumerate(reversed(rows)):
        EventMatch.update(created=start + timedelta(minutes=age)).where(EventMatch.uuid == row.uuid).execute()
    orm.change(again(rows[1]), {"disabled": True})

    def found(**narrowed: Any) -> list[str]:
        return [row.name for row in EventMatch.all_of("alice", **narrowed)]

    assert found() == ["a%b", "b", "a"]
    assert found(name="a") == ["a"]
    assert (found(disabled=True), found(disabled=False)) == (["b"], ["a%b", "a"])
    assert found(target_url="http://a") == ["a%b", "a"]
    assert found(target_url="http://a%b") == ["a%b"]
    assert found(target_url="http://%") == []
    assert found(since=again(rows[1]).updated) == ["b"]
    assert found(limit=2) == ["a%b", "b"]
    last = again(rows[1])
    assert found(after=(last.created, last.uuid), limit=2) == ["a"]


def test_pages_leave_nobody_out() -> None:
    """Page by page every row comes once, also those that were made at the same moment."""
    rows = [subscription() for _ in range(10)]
    EventMatch.update(created=rows[0].created).execute()
    seen: list[UUID] = []
    after = None

    while page := EventMatch.all_of("alice", after=after, limit=3):
        seen += [row.uuid for row in page]
        after = page[-1].position(orm.OLDEST_FIRST)

    assert sorted(seen) == sorted(row.uuid for row in rows)


ORDERS = [
    ([("name", False)], lambda row: row.name),
    ([("name", True), ("created", False)], lambda row: ([-ord(sign) for sign in row.name], row.created)),
    ([("updated", True), ("name", True)], lambda row: (-row.updated.timestamp(), [-ord(sign) for sign in row.name])),
]


@pytest.mark.parametrize(("order", "key"), ORDERS, ids=["name", "-name,created", "-updated,-name"])
def test_pages_of_a_chosen_order(order: orm.Order, key: Callable[[EventMatch], Any]) -> None:
    """Page by page every row comes once and in the order, names by their code points, rows alike by their uuid."""
    rows = [subscription(name=name) for name in ("b", "B", "a", "é", "Z", "b", "_", "b", "a", "😀", "B")]
    start = orm.now()
    for number, row in enumerate(rows):
        moment = start + timedelta(minutes=number % 4)
        EventMatch.update(created=moment, updated=moment).where(EventMatch.uuid == row.uuid).execute()
    rows = [again(row) for row in rows]
    seen: list[EventMatch] = []
    after = None

    while page := EventMatch.all_of("alice", order=order, after=after, limit=2):
        seen += page
        after = page[-1].position(order)

    assert [row.uuid for row in seen] == [row.uuid for row in sorted(rows, key=lambda row: (key(row), row.uuid.hex))]


# Changes.


def test_a_change_writes_what_was_sent() -> None:
    """Members that were not sent stay, `updated` and the revision go on."""
    row = again(subscription(auth=BASIC, extensions={"a": 1}))

    changed = orm.change(row, {"name": "new"})

    assert changed is not None
    assert (changed.name, changed.auth_values, changed.extension_values) == ("new", BASIC, {"a": 1})
    assert (changed.jsonpath, changed.target_url, changed.created) == (row.jsonpath, row.target_url, row.created)
    assert changed.updated >= row.updated
    assert changed.revision == row.revision + 1


def test_disabling_keeps_the_first_time_and_reviving_clears_the_reason() -> None:
    """A subscription that is disabled again keeps its time and reason; reviving forgets what led to it."""
    row = again(subscription())
    assert orm.disable(row.uuid, "broke")
    EventMatch.update(failing_since=orm.now(), failures=12, warned=orm.now()).execute()
    first = again(row)

    second = orm.change(first, {"disabled": True})
    assert second is not None
    third = orm.change(second, {"disabled": False})

    assert third is not None
    assert (second.disabled, second.error) == (first.disabled, "broke")
    assert (third.disabled, third.error, third.failing_since, third.failures) == (None, None, None, 0)
    assert (second.warned, third.warned) == (first.warned, None)


def test_reviving_what_is_enabled_forgets_no_failure() -> None:
    """What GET gave may be sent back as often as one likes: `disabled` null of an enabled one is no revival."""
    row = again(subscription())
    EventMatch.failed(row.uuid, orm.now())

    same = orm.change(again(row), {"disabled": False, "name": "same"})

    assert same is not None
    assert (same.failures, same.failing_since is None) == (1, False)


def test_another_target_starts_without_failures() -> None:
    """What failed at the old target does not count against the new one."""
    row = again(subscription())
    EventMatch.failed(row.uuid, orm.now())
    EventMatch.update(warned=orm.now()).execute()

    kept = orm.change(again(row), {"target_url": row.target_url})
    assert kept is not None
    moved = orm.change(kept, {"target_url": "http://other.example/"})

    assert moved is not None
    assert (kept.failures, moved.failures, moved.failing_since) == (1, 0, None)
    assert (kept.warned is None, moved.warned) == (False, None)


def test_other_limits_begin_anew() -> None:
    """What a rate put off waits no longer once the limits are others; what changes nothing changes nothing."""
    row = again(subscription(limits={"rate": 0.001}))
    EventMatch.update(paced_until=orm.now()).execute()

    kept = orm.change(again(row), {"limits": {"rate": 0.001}, "name": "new"})
    assert kept is not None
    changed = orm.change(kept, {"limits": {"rate": 5}})

    assert changed is not None
    assert (kept.paced_until is None, changed.paced_until) == (False, None)


def test_a_change_of_what_has_changed_is_not_written() -> None:
    """Whoever read a row before somebody else wrote it, or deleted it, writes nothing."""
    row = again(subscription())
    first, second = again(row), again(row)

    assert orm.change(first, {"name": "first"}) is not None
    assert orm.change(second, {"name": "second"}) is None
    assert not orm.remove(second)
    assert again(row).name == "first"
    assert orm.remove(again(row))
    assert orm.change(again(row), {"name": "third"}) is None
    assert not orm.remove(again(row))


def test_a_subscription_is_disabled_once() -> None:
    """What is disabled or deleted, or has another target or was changed by now, is not disabled."""
    row, deleted = again(subscription()), again(subscription())
    orm.remove(deleted)

    found = [
        orm.disable(row.uuid, "elsewhere", "http://other.example/"),
        orm.disable(row.uuid, "as it was", revision=row.revision - 1),
        orm.disable(row.uuid, "first", row.target_url, revision=row.revision),
        orm.disable(row.uuid, "second"),
        orm.disable(deleted.uuid, "third"),
    ]

    assert found == [False, False, True, False, False]
    assert again(row).error == "first"
    assert again(deleted).disabled is None


def test_of_many_changes_at_once_each_is_whole() -> None:
    """Changes that read the same row are written one after the other or not at all."""
    row = again(subscription())

    def change(number: int) -> int:
        written = 0
        while written < 3:
            changed = orm.change(again(row), {"name": f"{number}", "jsonpath": f"$.a{number}"})
            written += changed is not None
        return written

    at_once([partial(change, number) for number in range(8)])

    last = again(row)
    assert last.jsonpath == f"$.a{last.name}"
    assert last.revision >= 25


def test_of_many_that_delete_at_once_one_does() -> None:
    """A subscription is deleted by one of those who try at once."""
    row = again(subscription())

    found = at_once([partial(orm.remove, row)] * 8)

    assert sorted(found) == [False] * 7 + [True]


# Failures.


def test_failures_are_counted_since_the_first() -> None:
    """All failures count, however many workers count at once; the first keeps its time."""
    row = subscription()
    first = orm.now()
    EventMatch.failed(row.uuid, first)

    found = at_once([partial(EventMatch.failed, row.uuid, first + timedelta(seconds=age)) for age in range(1, 11)])

    assert again(row).failures == 11
    assert max(failures for _since, failures in found) == 11
    assert {since for since, _failures in found} == {first}


def test_a_success_forgets_the_failures() -> None:
    """One success is enough, for those that it concerns."""
    lucky, other = subscription(), subscription()
    for row in (lucky, other):
        EventMatch.failed(row.uuid, orm.now())
    EventMatch.update(warned=orm.now()).execute()

    EventMatch.succeeded([lucky.uuid])

    found = [(again(row).failures, again(row).failing_since, again(row).warned) for row in (lucky, other)]
    assert found[0] == (0, None, None)
    assert None not in found[1]


def test_counting_is_no_change() -> None:
    """Counting failures and successes takes no revision: routers need not read the row again."""
    row = subscription()
    EventMatch.failed(row.uuid, orm.now())
    EventMatch.succeeded([row.uuid])

    assert SubscriptionRevision.current() == again(row).revision == 1


# Revisions.


def test_every_change_takes_the_next_revision() -> None:
    """Making, changing, disabling and deleting each take a number."""
    row = again(subscription())
    orm.change(again(row), {"name": "new"})
    orm.disable(row.uuid, "broke")
    orm.change(again(row), {"disabled": False})
    orm.remove(again(row))

    assert again(row).revision == SubscriptionRevision.current() == 5


def test_a_change_that_fails_takes_no_revision() -> None:
    """A number is taken in the transaction of its change."""
    subscription()

    broken_off(subscription)

    assert SubscriptionRevision.current() == 1
    assert EventMatch.select().count() == 1


def changes(revision: int) -> list[orm.Change]:
    """Return what a reader that knows a revision is given."""
    return [change for page in EventMatch.changed_since(revision) for change in page]


def test_changes_are_read_since_a_revision() -> None:
    """A reader gets what took a later number than it knows in the order of the numbers, deleted rows too."""
    one, two = subscription(jsonpath="$.one"), subscription(jsonpath="$.two", ordered=True)

    known = changes(-1)
    assert known == [
        orm.Change(one.uuid, 1, "$.one", place(one.target_url), False),
        orm.Change(two.uuid, 2, "$.two", str(two.uuid), True),
    ]
    assert changes(2) == []
    orm.remove(again(two))
    orm.change(again(one), {"disabled": True})
    assert [(row.uuid, row.revision, row.jsonpath) for row in changes(2)] == [(two.uuid, 3, None), (one.uuid, 4, None)]
    orm.change(again(one), {"disabled": False, "limits": {"in_flight": 1}})
    assert changes(4) == [orm.Change(one.uuid, 5, "$.one", str(one.uuid), False)]


def test_without_any_change_there_is_nothing_to_read() -> None:
    """A reader of an empty table is given nothing."""
    assert changes(-1) == []


@pytest.mark.parametrize("revisions", [range(1, 8), [1] * 7, [1, 1, 1, 2, 2, 2, 3]])
def test_a_page_begins_where_the_last_one_ended(revisions: Sequence[int]) -> None:
    """Each row is read once, however few a page has, also where an upgrade gave many of them the same number."""
    rows = [subscription() for _ in revisions]
    for row, revision in zip(rows, revisions, strict=True):
        EventMatch.update(revision=revision).where(EventMatch.uuid == row.uuid).execute()

    pages = list(EventMatch.changed_since(0, page=3))

    assert [len(page) for page in pages] == [3, 3, 1]
    read = [change for page in pages for change in page]
    assert {change.uuid for change in read} == {row.uuid for row in rows}
    assert [change.revision for change in read] == list(revisions)


def test_what_is_changed_while_pages_are_read_comes_behind() -> None:
    """A row that is changed between two pages is in a later one, whether it was read already or not."""
    rows = [subscription(jsonpath="$.old") for _ in range(4)]

    pages = EventMatch.changed_since(0, page=2)
    first = next(pages)
    for row in (rows[0], rows[3]):
        orm.change(again(row), {"jsonpath": "$.new"})
    later = [change for page in pages for change in page]

    assert [change.uuid for change in first] == [row.uuid for row in rows[:2]]
    assert [(change.uuid, change.jsonpath) for change in later] == [
        (rows[2].uuid, "$.old"),
        (rows[0].uuid, "$.new"),
        (rows[3].uuid, "$.new"),
    ]


def test_a_reader_that_knows_a_revision_has_all_rows_up_to_it() -> None:
    """However writers run at once, no row turns up later with a number that a reader has passed."""
    kept: dict[UUID, tuple[int, str | None]] = {}
    missed: list[object] = []
    written = threading.Event()
    writers, each = 6, 12

    def write(number: int) -> None:
        row = again(subscription(jsonpath=f"$.a{number}"))
        for change in range(each - 1):
            changed = orm.change(row, {"jsonpath": f"$.a{number}.b{change}"})
            assert changed is not None
            row = changed

    def write_all() -> None:
        try:
            at_once([partial(write, number) for number in range(writers)])
        finally:
            written.set()

    def read() -> None:
        known = -1
        while True:
            last = written.is_set()
            found = changes(known)
            revision = found[-1].revision if found else known
            missed.extend(row.revision for row in found if not known < row.revision <= revision)
            kept.update({row.uuid: (row.revision, row.jsonpath) for row in found})
            # Whatever has a number up to the one that is known must be in hand, as it is or in a later form.
            missed.extend(
                row.jsonpath
                for row in EventMatch.select().where(EventMatch.revision <= revision)
                if kept.get(row.uuid, (-1, ""))[0] < row.revision
            )
            known = revision
            if last:
                return

    at_once([write_all, read])

    assert missed == []
    assert SubscriptionRevision.current() == writers * each
    assert kept == {row.uuid: (row.revision, row.jsonpath) for row in EventMatch.select()}
