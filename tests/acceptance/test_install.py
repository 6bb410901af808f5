"""The package as it is installed: alone, beside other parts of Pacifica, over the release before it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest

import pacifica.notifications
from tests.support.environments import SMALL, Environment, pip, run

CHECKOUT = Path(__file__).parents[2]
CI = os.environ.get("CI") == "true"
BEFORE = "pacifica-notifications==0.5.2"
OTHERS = ["pacifica-policy==0.8.3", "pacifica-metadata==0.13.0", SMALL]
#: Pure Python, but in the version that jsonpath2 asks for published as source only.
PURE_SOURCE = "antlr4-python3-runtime"
#: Modules of the other parts, such as work with today's libraries.
NEIGHBOURS = ["pacifica.policy.root", "pacifica.metadata.client"]
#: What the neighbours import; their own list has a library that is compiled at install.
NEEDED_BY_OTHERS = ["requests", "python-dateutil", "pytz"]

POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "os": set(
        "chown chroot fork forkpty getegid geteuid getgid getpgid getuid killpg mkfifo register_at_fork "
        "sched_getaffinity setgid setsid setuid uname wait".split()
    ),
    "signal": {"SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm", "pause"},
    "socket": {"AF_UNIX"},
}
POSIX_ONLY = POSIX_MODULES | {f"{module}.{name}" for module, names in POSIX_NAMES.items() for name in names}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's package, so that a build leaves nothing behind."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    shutil.copytree(CHECKOUT / "pacifica", folder / "pacifica", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return folder


@pytest.fixture(scope="session")
def wheel(package_index: None, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def upgraded(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The release before, replaced by a plain install of our wheel, nothing compiled."""
    environment = Environment(tmp_path_factory.mktemp("upgraded") / "venv")
    environment.install("--no-deps", BEFORE, SMALL)
    assert environment.ask("metadata.version('pacifica-notifications')") == BEFORE.partition("==")[2]
    environment.install("--only-binary=:all:", f"--no-binary={PURE_SOURCE}", wheel)
    return environment


@pytest.mark.install
def test_wheel_has_our_part_of_the_namespace_alone(wheel: Path) -> None:
    """The wheel has `pacifica.notifications` with its data files, no `pacifica/__init__.py` and no tests."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert all(name.startswith("pacifica/notifications/") for name in names)
    assert {"pacifica/notifications/py.typed", "pacifica/notifications/server.conf"} <= names


@pytest.mark.install
def test_wheel_installs_over_the_release_before(upgraded: Environment, wheel: Path) -> None:
    """After an install over 0.5.2 every module is ours and nothing of the old release is left."""
    package = upgraded.file_of("pacifica.notifications").parent
    site = package.parents[1]
    files = (file for file in package.rglob("*") if file.is_file() and file.suffix != ".pyc")
    left = {file.relative_to(site).as_posix() for file in files}

    assert left == {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert list(site.glob("pacifica_notifications*.pth")) == []
    assert upgraded.faults() == []


@pytest.mark.install
@pytest.mark.parametrize("command", ["pacifica-notifications", "pacifica-notifications-cmd"])
def test_commands_run_after_an_install(upgraded: Environment, command: str) -> None:
    """Both commands are there after an install over 0.5.2 and explain themselves."""
    printed = run(upgraded.scripts / command, "--help", cwd=upgraded.folder)

    assert command in printed


@pytest.mark.install
def test_plain_install_brings_no_extra(upgraded: Environment, wheel: Path) -> None:
    """What only an extra names is not installed without it."""
    plain, extra = set(), set()
    for requirement in requirements(wheel):
        name = re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower()
        (extra if "extra ==" in requirement else plain).add(name)
    listed = json.loads(pip("--python", upgraded.python, "list", "--format=json", cwd=upgraded.folder))
    installed = {item["name"].lower().replace("_", "-") for item in listed}

    assert {"psycopg2-binary", "pymysql", "uwsgi", "pytest", "sphinx"} <= extra
    assert plain <= installed
    assert installed & (extra - plain) == {"pacifica-notifications"}


@pytest.mark.install
def test_wheel_lives_beside_the_other_parts(wheel: Path, tmp_path: Path) -> None:
    """Installed after policy and metadata, whose namespace asks `pkg_resources`, all three are imported."""
    environment = Environment(tmp_path / "venv")
    environment.install("setuptools<81", *NEEDED_BY_OTHERS)
    environment.install("--no-deps", *OTHERS)

    environment.install(wheel)

    assert environment.ask("importlib.import_module('pkg_resources').__name__") == "pkg_resources"
    assert_side_by_side(environment)
    assert environment.file_of("pacifica.notifications").is_relative_to(environment.folder.resolve())


@pytest.mark.install
def test_editable_lives_beside_the_other_parts(package_index: None, source: Path, tmp_path: Path) -> None:
    """Installed editable, before policy and metadata, all three are imported, with `pkg_resources` or not."""
    checkout = shutil.copytree(source, tmp_path / "checkout")
    environment = Environment(tmp_path / "venv")

    environment.install("--editable", checkout, *NEEDED_BY_OTHERS)
    environment.install("--no-deps", *OTHERS)

    assert_side_by_side(environment)
    environment.install("setuptools<81")
    assert_side_by_side(environment)
    (checkout / "pacifica" / "notifications" / "written_later.py").write_text("")
    assert environment.file_of("pacifica.notifications.written_later").is_relative_to(checkout.resolve())


def assert_side_by_side(environment: Environment) -> None:
    """All parts are imported in one process, in either order, and pip finds nothing wrong with ours."""
    modules = ["pacifica.notifications.globals", *NEIGHBOURS]
    for ordered in (modules, modules[::-1]):
        assert environment.ask(f"[importlib.import_module(name).__name__ for name in {ordered}]") == ordered
    assert "pacifica-notifications" in run(
        environment.scripts / "pacifica-notifications", "--help", cwd=environment.folder
    )
    assert environment.faults() == []


def requirements(wheel: Path) -> list[str]:
    """Return all that the wheel says it needs."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


@pytest.mark.skipif(not CI and not sys.flags.safe_path, reason="only `make test` tests the built package")
def test_what_is_tested_is_the_built_package() -> None:
    """In CI and by `make test` the tests import the package that was installed, not the checkout."""
    assert not Path(pacifica.notifications.__file__).is_relative_to(CHECKOUT / "pacifica")


def posix_only(source: str) -> Iterator[str]:
    """Name what a module asks for, while it is imported, that is not there on Windows.

    What stands in a function, or below a condition that asks for the system or for the name, is left out.
    """
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo.extend(node.decorator_list if not isinstance(node, ast.Lambda) else [])
            continue
        if isinstance(node, ast.If) and re.search(r"hasattr|platform|os\.name", ast.unparse(node.test)):
            todo.extend(node.orelse)
            continue
        asked: list[str] = []
        if isinstance(node, ast.Import):
            asked = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            asked = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asked = [f"{node.value.id}.{node.attr}"]
        yield from (name for name in asked if name in POSIX_ONLY)
        todo.extend(ast.iter_child_nodes(node))


def test_no_module_needs_posix_to_be_imported() -> None:
    """No module asks, while it is imported, for what is not there on Windows."""
    package = Path(pacifica.notifications.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert len(files) > 1

    found = {file.name: list(posix_only(file.read_text(encoding="utf-8"))) for file in files}

    assert {name: asked for name, asked in found.items() if asked} == {}


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("import fcntl", ["fcntl"]),
        ("try:\n    from pwd import getpwnam\nexcept ImportError:\n    getpwnam = None", ["pwd"]),
        ("import os\nos.register_at_fork(after_in_child=print)", ["os.register_at_fork"]),
        ("from signal import SIGHUP", ["signal.SIGHUP"]),
        ("class Late:\n    import resource", ["resource"]),
        ("import os\nif hasattr(os, 'fork'):\n    os.register_at_fork(after_in_child=print)", []),
        ("def late():\n    import pwd", []),
        ("import os, signal\nos.getpid(), signal.SIGTERM", []),
    ],
)
def test_what_needs_posix_is_seen(source: str, asked: list[str]) -> None:
    """A module that could not be imported on Windows is found, one that asks first is not."""
    assert list(posix_only(source)) == asked
