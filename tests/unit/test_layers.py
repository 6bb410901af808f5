"""Imports point one way: the table of the rooms, held against what each module really imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pacifica.notifications

PACKAGE = "pacifica.notifications"

#: Modules and folders; each imports only from the rows above its own.
ROWS = (
    {"globals", "errors", "failpoints"},
    {"sealing", "documents", "keyfile", "addresses", "access", "tokens"},
    {"signing"},
    {"config", "retry", "receiver"},
    {"plain", "cloudevents"},
    {"events", "jsonpath", "members"},
    {"matching"},
    {"subscriptions"},
    {"owners", "signingkeys"},
    {"orm", "transfer", "resolving"},
    {"targets", "gates", "login"},
    {"writer"},
    {"intake", "routing", "delivery"},
    {"runner"},
    {"waking"},
    {"tasks"},
    {"rest", "ui"},
    {"embedded"},
    {"wsgi"},
    {"__main__", "commands"},
)
ROW_OF = {unit: number for number, row in enumerate(ROWS, 1) for unit in row} | {"": 0}

#: `__main__` is the entrance to the commands.
SIDEWAYS = {("__main__", "commands")}

#: These know no settings, clock, database or network.
PURE = {
    "sealing",
    "addresses",
    "access",
    "tokens",
    "signing",
    "retry",
    "documents",
    "plain",
    "cloudevents",
    "events",
    "jsonpath",
    "matching",
    "members",
    "subscriptions",
    "owners",
}
IMPURE_MODULES = {
    "asyncio", "ftplib", "http.client", "http.server", "os", "requests", "select", "selectors", "shutil",
    "socket", "socketserver", "ssl", "subprocess", "tempfile", "time", "urllib.request", "urllib3",
}  # fmt: skip
CLOCK_CALLS = {"now", "today", "utcnow"}
#: A path that runs away is stopped by the clock; nothing is decided by it but that.
PURE_BUT = {("matching.budget", "time")}

WEB = {"rest", "ui", "wsgi", "embedded", "__main__"}
#: The only units, or modules, that may import a library.
DOORS = {
    "antlr4": {"jsonpath.oracle"},
    "jsonpath2": {"jsonpath.oracle"},
    "peewee": {"orm"},
    "playhouse": {"orm"},
    "psycopg2": {"orm"},
    "pymysql": {"orm"},
    "sqlite3": {"orm"},
    "billiard": {"tasks", "embedded"},
    "celery": {"waking", "tasks", "embedded"},
    "kombu": {"tasks", "embedded"},
    "bcrypt": {"login.htpasswd"},
    "jwt": {"login.signing"},
    "cryptography": {"sealing", "signing"},
    "cherrypy": WEB,
    "cheroot": WEB,
    "pycurl": {"transfer"},
}


@dataclass(frozen=True)
class Import:
    """One imported module: its name within the package, or its full name when it comes from elsewhere."""

    name: str
    inside: bool
    relative: bool
    line: int


@dataclass(frozen=True)
class Tree:
    """The modules of a package as they stand in its folder."""

    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Each module's file by the module's name within the package; the package itself is ''."""
        found = {}
        for file in sorted(self.folder.rglob("*.py")):
            parts = file.relative_to(self.folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
        return found

    @cached_property
    def imports(self) -> dict[str, list[Import]]:
        """What each module imports, also inside functions and for type checking only."""
        return {module: list(self._imports(module)) for module in self.files}

    def nodes(self, module: str) -> Iterator[ast.AST]:
        """Give all nodes of the module's syntax tree."""
        return ast.walk(ast.parse(self.files[module].read_text(encoding="utf-8")))

    def _imports(self, module: str) -> Iterator[Import]:
        for node in self.nodes(module):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield self._import(alias.name, relative=False, line=node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    yield self._import(f"{base}.{alias.name}", relative=bool(node.level), line=node.lineno)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        """Return the full name of what stands between `from` and `import`."""
        if not node.level:
            return node.module or ""
        here = [*PACKAGE.split("."), *filter(None, module.split("."))]
        steps = node.level - (self.files[module].name == "__init__.py")
        return ".".join([*here[: len(here) - steps], *filter(None, [node.module])])

    def _import(self, full_name: str, *, relative: bool, line: int) -> Import:
        if full_name != PACKAGE and not full_name.startswith(f"{PACKAGE}."):
            return Import(full_name, False, relative, line)
        name = full_name[len(PACKAGE) + 1 :]
        while name and name not in self.files:  # the last part may be a name in a module
            name = name.rpartition(".")[0]
        return Import(name, True, relative, line)


def unit_of(module: str) -> str:
    """Return the module or folder of the table that the module belongs to."""
    return module.partition(".")[0]


def faults_of_table(tree: Tree) -> Iterator[str]:
    """Name the modules that have no row."""
    for module in tree.files:
        if unit_of(module) not in ROW_OF:
            yield f"{module} has no row in the table"


def faults_of_direction(tree: Tree) -> Iterator[str]:
    """Name the imports that do not point to a row above."""
    for module, imports in tree.imports.items():
        unit = unit_of(module)
        for found in imports:
            target = unit_of(found.name)
            if not found.inside or target == unit or (unit, target) in SIDEWAYS:
                continue
            if ROW_OF.get(target, 99) >= ROW_OF.get(unit, 99):
                yield f"{module}:{found.line} imports {found.name}, which is not in a row above"


def faults_of_form(tree: Tree) -> Iterator[str]:
    """Name the imports of our own modules that are not relative."""
    for module, imports in tree.imports.items():
        for found in imports:
            if not found.relative and (found.inside or found.name.partition(".")[0] == "pacifica"):
                yield f"{module}:{found.line} imports {found.name} by its full name"


def faults_of_cycles(tree: Tree) -> Iterator[str]:
    """Name a circle of imports."""
    graph = {module: {i.name for i in imports if i.inside} for module, imports in tree.imports.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"a circle: {' -> '.join(error.args[1])}"


def faults_of_doors(tree: Tree) -> Iterator[str]:
    """Name the imports of a library outside of the units that may know it."""
    for module, imports in tree.imports.items():
        for found in imports:
            library = found.name.partition(".")[0]
            if not found.inside and library in DOORS and not {module, unit_of(module)} & DOORS[library]:
                yield f"{module}:{found.line} imports {library}, only {sorted(DOORS[library])} may"


def faults_of_purity(tree: Tree) -> Iterator[str]:
    """Name what a pure module knows of settings, clock, database or network."""
    for module, imports in tree.imports.items():
        if unit_of(module) not in PURE:
            continue
        for found in imports:
            name = found.name
            if found.inside and unit_of(name) not in PURE | ROWS[0] | {""}:
                yield f"{module}:{found.line} is pure and imports {name}"
            wide = {name, name.rpartition(".")[0], name.partition(".")[0]}
            if not found.inside and wide & IMPURE_MODULES and (module, name) not in PURE_BUT:
                yield f"{module}:{found.line} is pure and imports {name}"
        for node in tree.nodes(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
                yield f"{module}:{node.lineno} is pure and asks the clock"


Rule = Callable[[Tree], Iterator[str]]
RULES: list[Rule] = [
    faults_of_table,
    faults_of_direction,
    faults_of_form,
    faults_of_cycles,
    faults_of_doors,
    faults_of_purity,
]

#: Imports the modules named on the command line and prints what it saw the package do meanwhile.
#: The libraries are imported before, because what they do when they are imported is not ours.
PROBE = """
import importlib, os, sys, threading
package, home, libraries, modules = sys.argv[1], sys.argv[2], sys.argv[3].split(","), sys.argv[4].split(",")
for library in filter(None, libraries):
    try:
        importlib.import_module(library)
    except ImportError:
        pass
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
ACTIONS = ("socket.", "sqlite3.", "subprocess.", "shutil.", "tempfile.", "thread.", "os.fork", "os.exec",
           "os.posix", "os.spawn", "os.system", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link",
           "os.symlink")
def watch(event, args):
    if event == "open":
        path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes)) else ""
        reads = path.startswith(home) or path.endswith((".ini", ".conf", ".cfg"))
        seen = "writes" if args[2] & WRITING else "reads" if reads else None
    else:
        path, seen = "", event if event.startswith(ACTIONS) else None
    frame = sys._getframe() if seen else None
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.startswith(package):
            print(name, seen, path)
            break
        frame = frame.f_back
def start(thread, started=threading.Thread.start):
    sys.audit("thread.start")
    started(thread)
threading.Thread.start = start  # Python raises an event of its own only from 3.12 on
sys.addaudithook(watch)
for module in modules:
    importlib.import_module(module)
print("done", len(modules))
"""


def happenings(package: str, modules: list[str], libraries: set[str], home: Path, *path: str) -> list[str]:
    """Import the modules in a new process and return what was opened, started or written meanwhile."""
    names = sorted(libraries, key=lambda library: (library.count("."), library))
    ours = ("NOTIFICATIONS_", "PEEWEE_URL", "BROKER_URL")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([*path, *filter(None, sys.path)])
    command = [sys.executable, "-c", PROBE, package, str(home), ",".join(names), ",".join(modules)]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120, check=False)
    *seen, last = done.stdout.splitlines() or [""]
    assert last == f"done {len(modules)}", done.stderr
    return seen


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Our package as it is installed here."""
    return Tree(Path(pacifica.notifications.__file__).parent)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_package_keeps_to_the_table(tree: Tree, rule: Rule) -> None:
    """Every module has a row, imports upward, relatively, without circles, and only libraries it may know."""
    assert len(tree.files) > 1

    assert list(rule(tree)) == []


def test_importing_a_module_opens_nothing(tree: Tree, tmp_path: Path) -> None:
    """Importing a module reads, writes, starts and connects nothing; `wsgi` reads settings and nothing else."""
    libraries = {i.name for imports in tree.imports.values() for i in imports if not i.inside}
    ordered = sorted(tree.files, key=lambda module: (ROW_OF.get(unit_of(module), 99), module))
    modules = [f"{PACKAGE}.{module}".rstrip(".") for module in ordered]
    modules.remove(f"{PACKAGE}.wsgi")

    seen = happenings(PACKAGE, modules, libraries, tmp_path)
    seen_by_wsgi = happenings(PACKAGE, [f"{PACKAGE}.wsgi"], libraries, tmp_path)

    assert seen == []
    assert [line for line in seen_by_wsgi if " reads " not in line] == []


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (faults_of_table, "helper", ""),
        (faults_of_direction, "errors", "from . import orm"),
        (faults_of_direction, "errors", "def late():\n    from .globals import NAME"),
        (faults_of_direction, "gates/policy", "from ..targets import http"),
        (faults_of_direction, "gates/policy", "from ..tasks import route"),
        (faults_of_direction, "__init__", "from .errors import Fault"),
        (faults_of_form, "orm", "import pacifica.notifications.errors"),
        (faults_of_form, "orm", "from pacifica.notifications import errors"),
        (faults_of_form, "orm", "from pacifica import metadata"),
        (faults_of_cycles, "targets/__init__", "from . import http"),
        (faults_of_cycles, "errors", "from . import targets"),
        (faults_of_doors, "rest", "from peewee import Model"),
        (faults_of_doors, "delivery", "import celery.app"),
        (faults_of_doors, "tasks", "import cherrypy as web"),
        (faults_of_doors, "jsonpath/parser", "import jsonpath2"),
        (faults_of_doors, "matching/index", "from antlr4 import Token"),
        (faults_of_doors, "targets/http", "import pycurl"),
        (faults_of_purity, "events", "from . import config"),
        (faults_of_purity, "events", "from os import environ"),
        (faults_of_purity, "events", "import urllib.request"),
        (faults_of_purity, "matching/index", "from time import monotonic"),
        (faults_of_purity, "retry", "import datetime\nWHEN = datetime.datetime.now()"),
    ],
)
def test_each_rule_sees_its_fault(tmp_path: Path, rule: Rule, module: str, source: str) -> None:
    """One line that breaks a rule is found by that rule in an otherwise good package."""
    good = {
        "__init__": "",
        "errors": "",
        "globals": "NAME = 1",
        "config": "from .globals import NAME",
        "jsonpath/oracle": "import antlr4.error.ErrorListener\nimport jsonpath2",
        "events": "import json\nfrom urllib.parse import urlsplit\nfrom .globals import NAME",
        "orm": "import peewee\nfrom . import errors",
        "targets/__init__": "from .. import orm",
        "targets/http": "from . import base\nfrom .. import errors",
        "targets/base": "from ..retry import after",
        "retry": "import datetime",
        "tasks": "import celery\nfrom .targets.http import send",
        "rest": "import cherrypy",
        "__main__": "from . import commands",
        "commands/__init__": "",
    }
    write_modules(tmp_path, good)
    assert list(rule(Tree(tmp_path))) == []
    if module == "targets/__init__":
        write_modules(tmp_path, {"targets/http": "from . import NAME"})

    write_modules(tmp_path, {module: source})

    assert len(list(rule(Tree(tmp_path)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "open('left', 'w')",
        "import os; os.mkdir('left')",
        "import configparser; configparser.ConfigParser().read('config.ini')",
        "import sqlite3; sqlite3.connect(':memory:')",
        "import socket; socket.socket()",
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', '']).wait()",
        "import threading; threading.Thread(target=int).start()",
    ],
)
def test_what_an_import_does_is_seen(tmp_path: Path, source: str) -> None:
    """A module that opens, starts or writes something when it is imported is found."""
    write_modules(tmp_path, {"sample/__init__": "", "sample/quiet": "import json", "sample/loud": source})

    seen = happenings("sample", ["sample.quiet", "sample.loud"], {"json"}, tmp_path, str(tmp_path))

    assert {line.split()[0] for line in seen} == {"sample.loud"}


def write_modules(folder: Path, sources: dict[str, str]) -> None:
    """Write modules, by path without suffix, into the folder."""
    for module, source in sources.items():
        file = folder / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(source, encoding="utf-8")


def test_a_service_loads_nothing_of_a_worker() -> None:
    """A service starts without what only routes, delivers or is a command; the benchmark has the time that it saves."""
    source = f"import sys, {PACKAGE}.__main__; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=True)

    loaded = set(done.stdout.split())
    assert not loaded & {"pycurl", "redis", f"{PACKAGE}.runner", f"{PACKAGE}.delivery", f"{PACKAGE}.commands"}
