"""`make audit`: known faults of what the image installs, told here by a service of this test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.pages import CHECKOUT
from tests.support.ports import free_port
from tests.support.target import Answer, RecordingTarget

#: The extras that the image has, as `make lock` names them.
IMAGE = ("mariadb", "postgresql", "redis", "uwsgi")
LOCK = "requests==2.31.0 --hash=sha256:58cd2187c01e70e6e26505bca751777aa9f2ee0b7f4300988b709f44e013003f\n"
ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2099-1"],
    "summary": "bad",
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.33.0"}]}],
        }
    ],
}


def audit(folder: Path, url: str, accepted: str = "", lock: str = LOCK) -> tuple[int, str]:
    """Run it; give its status and what it said."""
    (folder / "lock").write_text(lock)
    (folder / "accepted").write_text(accepted)
    command = [sys.executable, str(CHECKOUT / ".ci/audit"), "--lock", str(folder / "lock")]
    command += ["--accepted", str(folder / "accepted"), "--osv-url", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("advisories", "accepted", "status", "said"),
    [
        ([], "", 0, "0 known faults, and 0 that are accepted."),
        ([ADVISORY], "", 1, "requests: CVE-2099-1, GHSA-aaaa-bbbb-cccc; fixed in 2.33.0"),
        ([ADVISORY], "# why\nCVE-2099-1 9999-12-31 not reached by us\n", 0, "0 known faults, and 1 that are accepted."),
        ([ADVISORY], "CVE-2099-1 2020-01-01 not reached by us\n", 1, "1 known faults, and 0 that are accepted."),
        ([ADVISORY], "CVE-2099-1 some day\n", 1, "accepted:1: wanted NAME YEAR-MONTH-DAY REASON"),
    ],
    ids=["none", "known", "accepted", "no longer accepted", "not readable"],
)
def test_known_faults_fail(
    tmp_path: Path, target: RecordingTarget, advisories: list[object], accepted: str, status: int, said: str
) -> None:
    """A version with a known fault fails, unless that was accepted until a day that has not passed."""
    target.always("/", Answer(200, [("Content-Type", "application/json")], json.dumps({"vulns": advisories}).encode()))

    found = audit(tmp_path, target.url(), accepted)

    assert found[0] == status, found
    assert said in found[1]


def test_no_service(tmp_path: Path) -> None:
    """Where nobody can be asked it says so, and passes."""
    assert audit(tmp_path, f"http://127.0.0.1:{free_port()}/") == (
        0,
        "Not audited: no advisories can be had from here.\n",
    )


def test_a_lock_that_is_none(tmp_path: Path, target: RecordingTarget) -> None:
    """What can't be read is no lock without faults."""
    status, said = audit(tmp_path, target.url(), lock="requests=2.31\n")

    assert status == 1
    assert "invalid" in said


def test_the_lock_has_what_the_image_installs() -> None:
    """What the package and the image's extras need stands in the lock, in a version that they take, with its hash."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    lock = (CHECKOUT / "config/requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.-]+)(?:\[\w+\])?==(\S+) \\\n    --hash=sha256:", lock, re.MULTILINE))
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [each for name in IMAGE for each in extras[name]]

    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement
