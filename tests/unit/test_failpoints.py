"""Fail points kill the process that a tester names, and nobody else's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pacifica.notifications import failpoints
from tests.support import pages
from tests.support.process import clean_environment

UUID = "0295f4cb-494a-4db0-9d84-50dea4e01171"
OTHER = "1295f4cb-494a-4db0-9d84-50dea4e01171"


@pytest.mark.parametrize(
    ("text", "hits", "reached"),
    [
        ("sent", ["claimed", "sent"], [False, True]),
        ("sent:2", ["sent", "sent"], [False, True]),
        ("sent:1/1", ["claimed", "sent"], [False, True]),
        (f"sending@{UUID}", [f"sending {OTHER}", f"routing {UUID}", f"sending {UUID}"], [False, False, True]),
        (f"sending@{UUID.upper()}", [f"sending {UUID}"], [True]),
    ],
)
def test_a_point_is_reached_as_it_says(text: str, hits: list[str], reached: list[bool]) -> None:
    """Only hits of its name count: the first, the one of a number, those of a chance, or those of one subject."""
    point = failpoints.parse(text)

    found = [point.reached(name, subject) for name, _, subject in (hit.partition(" ") for hit in hits)]

    assert found == reached


def test_a_seed_gives_the_same_chances_again() -> None:
    """With a seed the same hits are the ones."""
    points = [failpoints.parse("sent:1/5", "7") for _ in range(2)]

    first, second = [[point.reached("sent", "") for _ in range(200)] for point in points]

    assert first == second
    assert 10 < sum(first) < 90


@pytest.mark.parametrize("text", ["nowhere", "sent:0", "sent:x", "sent@here", "sent:1/0", "", "sent "])
def test_what_is_no_fail_point_is_refused(text: str) -> None:
    """A name or form that there is not is an error that names those that there are."""
    with pytest.raises(ValueError, match="is no fail point; it is one of inserted, committed"):
        failpoints.parse(text)


def test_the_page_names_every_point() -> None:
    """The documentation lists the points with what they mean, and no other."""
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", pages.read("docs/reliability.md"), re.M)

    assert dict(table) == failpoints.POINTS


def run(home: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    command = [sys.executable, "-c", f"from pacifica.notifications import failpoints\n{code}\nprint('lives')"]
    env = clean_environment(home, **variables)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_process_dies_at_once(tmp_path: Path) -> None:
    """At the point it is gone with status 9 and cleans nothing up; at its start it has warned."""
    code = "import atexit; atexit.register(print, 'cleaned')\nfailpoints.hit('sent')"

    done = run(tmp_path, code, NOTIFICATIONS_FAILPOINT="sent")

    assert (done.returncode, done.stdout) == (9, "")
    assert "never in production" in done.stderr


def test_without_the_variable_nothing_happens(tmp_path: Path) -> None:
    """A hit does nothing, and nothing is said; the variable is none that a start refuses."""
    done = run(tmp_path, "failpoints.hit('sent')")
    started = run(tmp_path, "from pacifica.notifications import config; config.load()", NOTIFICATIONS_FAILPOINT="sent")

    assert (done.returncode, done.stdout, done.stderr) == (0, "lives\n", "")
    assert started.returncode == 0, started.stderr
