"""What a reader may copy from README and docs is checked, and what is listed there is what the code has."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import peewee
import pytest
import requests
from cherrypy.lib import reprconf

from pacifica.notifications import (
    access,
    config,
    documents,
    errors,
    events,
    jsonpath,
    matching,
    members,
    orm,
    subscriptions,
    waking,
)
from pacifica.notifications import globals as names
from pacifica.notifications.jsonpath.work import FLOOR, PER_VALUE
from pacifica.notifications.orm.eventmatch import ADDED, MEMBERS
from pacifica.notifications.orm.sync import TABLES
from pacifica.notifications.rest import Root, error_page_default, eventmatch, listing, problems
from pacifica.notifications.signing.keys import new_key
from pacifica.notifications.signing.signer import Attempt, Signer
from pacifica.notifications.signing.standard import PUBLIC, new_secret

from ..support import pages
from ..support.pages import CHECKOUT, Block
from ..support.ports import free_port
from ..support.process import Process, clean_environment
from ..support.wait import until

#: Stands for a variable of the shell, which is a uuid wherever it is more than a text.
SOME_UUID = "0295f4cb-494a-4db0-9d84-50dea4e01171"
#: Commands of others that a page may use; what they do is theirs.
OTHERS = {
    *(".", "cat", "chown", "createdb", "date", "echo", "export", "git", "grep", "printf"),
    *("apt-get", "journalctl", "mariadb", "nginx", "openssl", "rabbitmqctl", "su", "systemctl", "useradd"),
}
#: Where the service is, on its own and behind nginx.
ORIGINS = ("http://localhost:8070", "https://notifications.example.org/notifications")
PROBLEM = {"type", "title", "detail", "errors", "status"}

BLOCKS = [block for page in pages.pages() for block in pages.blocks_of(page, pages.read(page))]


def _from_code() -> ModuleType:
    """Load what makes pages from the code, as Sphinx does."""
    spec = importlib.util.spec_from_file_location("from_code", CHECKOUT / "docs" / "_ext" / "from_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


from_code = _from_code()


# The checks of a block, by its language; each raises where something is wrong.


def check(block: Block) -> None:
    """Hold a block to what its language promises."""
    if block.language.startswith("{"):
        return  # a directive, which Sphinx checks
    assert block.language in CHECKS, f"{block}: {block.language or 'no language'} is not checked by anything"
    CHECKS[block.language](block)


def check_bash(block: Block) -> None:
    """The shell can read it, and every command is one that exists."""
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for document in re.findall(r"<<'JSON'\n(.*?)^JSON$", block.text, re.M | re.S):
        check_value(json.loads(document))
    check_commands(block, re.sub(r"<<'JSON'\n.*?^JSON$", "", block.text, flags=re.M | re.S))


def check_powershell(block: Block) -> None:
    """Every command is one that exists."""
    check_commands(block, block.text.replace("\\", "/"))


def check_commands(block: Block, text: str) -> None:
    """Hold every command of a text to what it can do."""
    own = set(re.findall(r"^(\w+)\(\)", pages.read(block.page), re.M))
    found = list(commands(text))
    assert found, f"{block}: no command"
    for words in found:
        program = words[0].rpartition("/")[2]
        if program in COMMANDS:
            COMMANDS[program](words[1:])
        else:
            assert program in OTHERS | own | {"Activate.ps1"}, f"{block}: {program} is not known"


def commands(text: str) -> Iterator[list[str]]:
    """Give the words of every simple command of a shell text, without assignments and redirections."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";|&()<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    redirected = False
    for token in [*lexer, "\n"]:
        if set(token) <= set("<>") or redirected:
            redirected = not redirected
        elif set(token) <= set(";|&()\n{}"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", token):
            words.append(re.sub(r"\$\w+", SOME_UUID, token))


def check_curl(words: list[str]) -> None:
    """The place exists, takes the method and the parameters, and what is sent in the line is valid."""
    (url,) = (word.removeprefix(origin) for word in words for origin in ORIGINS if word.startswith(origin))
    sent = next((words[at + 1] for at, word in enumerate(words) if word in ("-d", "--data-binary")), None)
    method = words[words.index("-X") + 1] if "-X" in words else "GET" if sent is None else "POST"
    parts = urlsplit(url)
    place = find_place(parts.path)
    assert hasattr(place, method), f"{parts.path} does not take {method}"
    if parts.query:
        listing.narrowed(dict(parse_qsl(parts.query, strict_parsing=True)))
    headers = dict(word.split(": ", 1) for at, word in enumerate(words) if words[at - 1] == "-H")
    fields = {name[3:].lower(): value for name, value in headers.items() if name.lower().startswith("ce-")}
    if sent is not None and fields:
        assert parts.path == "/receive"
        events.parse_binary(fields, headers["Content-Type"], sent.encode())
    elif sent is not None and not sent.startswith("@"):
        check_value(json.loads(sent), changed=method == "PUT")


def find_place(path: str) -> Any:
    """Give what answers at a path, as CherryPy's dispatcher finds it."""
    place: Any = Root()
    steps = path.strip("/").split("/") if path.strip("/") else []
    while steps and hasattr(place, steps[0].replace(".", "_")):
        place = getattr(place, steps.pop(0).replace(".", "_"))
    if isinstance(place, eventmatch.EventMatch) and steps:
        UUID(steps.pop(0))
    assert place.exposed, f"nothing answers at {path}"
    assert not steps, f"nothing answers at {path}"
    return place


def check_own(name: str) -> Callable[[list[str]], None]:
    """Give the check of one of our programs: its own parser takes the words."""

    def parse(words: list[str]) -> None:
        try:
            from_code.parsers()[name].parse_args(words)
        except SystemExit as error:
            raise AssertionError(f"{name} does not take {words}") from error
        for word in words:
            if word.endswith((".ini", ".conf")):
                assert (CHECKOUT / word).is_file(), word

    return parse


def check_celery(words: list[str]) -> None:
    """It is the line that starts a worker, with options that Celery has."""
    from celery.bin.worker import worker

    known = {option for parameter in worker.params for option in (*parameter.opts, *parameter.secondary_opts)}
    line = waking.WORKER_COMMAND.split()[1:]
    assert words[: len(line)] == line
    assert {word for word in words[len(line) :] if word.startswith("-")} <= known


def check_uwsgi(words: list[str]) -> None:
    """The module exists, and uWSGI, where it is installed, knows the options."""
    assert importlib.util.find_spec(words[words.index("--module") + 1])
    uwsgi = Path(sys.executable).with_name("uwsgi")
    if uwsgi.exists():
        told = subprocess.run([uwsgi, "--help"], capture_output=True, text=True, check=True).stdout
        for word in words:
            if word.startswith("-"):
                assert re.search(rf"(^|\|)\s*{re.escape(word.partition('=')[0])}\b", told, re.M), word


def check_pip(words: list[str]) -> None:
    """It installs this package, with extras that it has."""
    assert words[0] == "install"
    declared = re.search(r"^\[project.optional-dependencies\]\n(.*?)^\[", pages.read("pyproject.toml"), re.M | re.S)
    assert declared
    extras = set(re.findall(r"^(\w+) = \[", declared[1], re.M))
    for word in words[1:]:
        name, _, wanted = word.rstrip("]").partition("[")
        assert name in (".", "pacifica-notifications")
        assert set(filter(None, wanted.split(","))) <= extras


def check_make(words: list[str]) -> None:
    """The Makefile has the target."""
    for word in words:
        assert "=" in word or re.search(rf"^{word}:", pages.read("Makefile"), re.M), word


def check_python_command(words: list[str]) -> None:
    """A line of Python can be compiled; a module is one that Python has; a file stands on a page."""
    if words[0] == "-c":
        compile(words[1], "-c", "exec")
    elif words[0] == "-m":
        assert importlib.util.find_spec(words[1])
    else:
        assert any(f"`{words[0]}`" in pages.read(page) for page in pages.pages()), words[0]


def check_shipped(words: list[str]) -> None:
    """What is taken from the folder of the deployment's files is there."""
    taken = [word for word in words if word.startswith("config/")]
    assert taken or "-d" in words or "/dev/null" in words, words
    assert all(list(CHECKOUT.glob(word)) for word in taken), taken


def check_pytest(words: list[str]) -> None:
    """Without arguments it runs what the settings say."""
    assert not words


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "celery": check_celery,
    "cp": check_shipped,
    "curl": check_curl,
    "docker": check_shipped,
    "install": check_shipped,
    "make": check_make,
    "pacifica-notifications": check_own("pacifica-notifications"),
    "pacifica-notifications-cmd": check_own("pacifica-notifications-cmd"),
    "pip": check_pip,
    "py": check_python_command,
    "pytest": check_pytest,
    "python": check_python_command,
    "python3": check_python_command,
    "uwsgi": check_uwsgi,
}


def check_json(block: Block) -> None:
    """It is JSON, and what it shows is valid."""
    check_value(json.loads(block.text))


def check_value(value: Any, changed: bool = False) -> None:
    """Hold a value to the schema of what it shows: an event, a subscription, an answer, or a list of these."""
    if isinstance(value, list):
        for each in value:
            check_value(each)
        return
    shown = set(value)
    if shown & {"specversion", "cloudEventsVersion"}:
        events.parse(json.dumps(value).encode())
    elif shown >= {"jsonpath", "uuid"}:
        assert list(value) == MEMBERS
        checker = documents.validator(members.SCHEMA["definitions"]["eventmatch"])
        assert documents.faults(checker, value) == {}
        jsonpath.parse(value["jsonpath"])
    elif "jsonpath" in shown or changed:
        signed = {"signing": {"schemes": ["v1"], "secret": new_secret()}}
        stored = dict.fromkeys(MEMBERS) | signed if changed else None
        subscriptions.validate(value, stored)
    elif "traceback" in shown:
        assert list(value) == list(json.loads(error_page_default(value["status"], value["message"])))
        assert value["version"] == names.VERSION
    elif shown >= PROBLEM - {"errors"}:
        assert shown == PROBLEM
    elif shown == {"keys"}:
        assert [key["whpk"] for key in value["keys"]] == [whpk_of(key["x"]) for key in value["keys"]]
    else:
        known = [{"uuid", "duplicate"}, {"status", "database", "worker"}]
        known += [{"username", "password"}, {"token", "token_type", "expires_in", "roles"}]
        assert shown in known, f"nothing shows {shown}"


def whpk_of(x: str) -> str:
    """Return a public key of a JSON Web Key as Standard Webhooks writes it."""
    return PUBLIC + b64encode(urlsafe_b64decode(x + "=")).decode()


def check_ini(block: Block) -> None:
    """The service can read it: as its settings, or as a file of CherryPy."""
    if re.search(r"^\[(global|/.*)\]$", block.text, re.M):
        assert reprconf.Parser.load(StringIO(block.text))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.ini"
        file.write_text(block.text, encoding="utf-8")
        assert config.load(file, {}).sources


def check_python(block: Block) -> None:
    """It runs to its end, or, where it serves until it is stopped, can be read."""
    code = compile(block.text, str(block), "exec")
    if "__main__" not in block.text:
        exec(code, {})  # a page of ours


def check_text(block: Block) -> None:
    """What a command prints stands only where a test prints it."""
    assert block.page in pages.WALKED, f"{block}: nothing checks that this is printed"


CHECKS = {
    "bash": check_bash,
    "ini": check_ini,
    "json": check_json,
    "powershell": check_powershell,
    "python": check_python,
    "text": check_text,
}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed here")
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_what_can_be_copied_works(block: Block) -> None:
    """Every block of a page is executed or checked."""
    check(block)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("", "anything"),
        ("yaml", "a: 1"),
        ("text", "anything"),
        ("bash", "if true"),
        ("bash", "unheard-of --now"),
        ("bash", "make coffee"),
        ("bash", "pip install '.[coffee]'"),
        ("bash", "pacifica-notifications --colour red"),
        ("bash", "cat x | pacifica-notifications-cmd eventbrew"),
        ("bash", "x=$(pacifica-notifications-cmd eventget --limit none)"),
        ("bash", "curl http://localhost:8070/coffee"),
        ("bash", "curl -X PATCH http://localhost:8070/eventmatch"),
        ("bash", "curl 'http://localhost:8070/eventmatch?colour=red'"),
        ("bash", 'curl http://localhost:8070/receive -d \'{"specversion": "1.0"}\''),
        ("bash", "curl http://localhost:8070/receive -H 'Content-Type: text/plain' -H 'ce-id: 1' -d x"),
        ("bash", 'curl http://localhost:8070/receive -d \'[{"specversion": "1.0"}]\''),
        ("bash", "celery -A pacifica.elsewhere worker"),
        ("bash", "cp config/apache.conf /etc/apache2"),
        ("json", "{"),
        ("json", '{"anything": 1}'),
        ("json", '{"specversion": "1.0", "type": "a", "id": "1"}'),
        ("json", '{"name": "a", "jsonpath": "$[", "target_url": "http://localhost/"}'),
        ("ini", "[delivery]\ncoffee = black"),
        ("ini", "[global]\nserver.socket_port: port"),
        ("python", "def"),
        ("python", "import pacifica.notifications.coffee"),
    ],
)
def test_what_does_not_work_is_found(language: str, text: str) -> None:
    """A block that nothing checks, and one that can't work, is a failure."""
    with pytest.raises((AssertionError, ValueError, SyntaxError, ImportError, errors.NotificationsError)):
        check(Block("CONTRIBUTING.md", 1, language, f"{text}\n"))


def test_blocks_are_found() -> None:
    """A block is found with its page, line, language and text, whatever stands around it."""
    page = "# A\n\n```bash\nmake run\n```\n\n````text\n```\n````\n:::{note}\nx\n:::\n"

    found = list(pages.blocks_of("a.md", page))

    assert found == [
        Block("a.md", 3, "bash", "make run\n"),
        Block("a.md", 7, "text", "```\n"),
        Block("a.md", 10, "{note}", "x\n"),
    ]


@pytest.mark.parametrize("page", pages.pages())
def test_links_lead_somewhere(page: str) -> None:
    """A link to another page of the checkout, or to a picture, leads to a file."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", pages.read(page))

    assert [target for target in targets if not (CHECKOUT / page).parent.joinpath(target).is_file()] == []


@pytest.mark.parametrize("page", pages.pages())
def test_settings_that_a_page_names_exist(page: str) -> None:
    """A name ``section.key`` in a text is a setting that is declared, a line of the log, or a module's file."""
    declared = {name for name, _, _ in config.declared()}
    sections = {name.partition(".")[0] for name in declared}
    package = Path(names.__file__).parent
    logged = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r'"([a-z]+\.[a-z]+)[ "]', file.read_text(encoding="utf-8"))
    }
    named = re.findall(r"`(\w+)\.(\w+|\*)(?: = [^`]*)?`", pages.read(page))

    unknown = [f"{section}.{key}" for section, key in named if section in sections and key not in ("*", "py")]
    assert [name for name in unknown if name not in declared | logged] == []


def test_settings_page_has_every_setting() -> None:
    """The page of the settings names each one, its environment name, its default, and says what it is for."""
    page = from_code.fill(pages.read("docs/reference/settings.md"))
    parts = re.split(r"^## `\[(\w+)\]`$", page, flags=re.M)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))

    for name, _, spec in config.declared():
        section, _, key = name.partition(".")
        found = re.search(rf"^`{key}`\n: (?P<about>.{{10,}})\n\n  \*(?P<facts>.*)\*$", sections[section], re.M)
        assert found, name
        assert f"environment `{config.environment_name(name, spec)}`" in found["facts"]
        if isinstance(spec.default, bool | int):
            assert f"default `{str(spec.default).lower()}`" in found["facts"]


def test_identity_page_has_the_table_of_roles() -> None:
    """The page about identity shows how far each role reaches with each request, as the code has it."""
    filled = from_code.fill(pages.read("docs/identity.md"))

    assert "| request | `producer` | `user` | `manager` | `admin` |" in filled
    assert "| `PUT /eventmatch/UUID` | 403 | own | own | all |" in filled
    assert len(re.findall(r"^\| `[A-Z]+ /", filled, re.M)) == len(access.TABLE)


def test_commands_page_has_the_help_of_every_command() -> None:
    """The page of the commands shows what each prints with ``--help``, and no folder of this machine."""
    page = pages.read("docs/reference/commands.md")

    asked = re.findall(r"^<!-- help (.+) -->$", page, re.M)
    filled = from_code.fill(page)

    assert set(asked) == set(from_code.parsers())
    assert filled.count("\nusage: ") == filled.count("```text\n") == len(asked)
    assert str(Path.home()) not in filled


def test_example_of_the_settings_has_each_with_its_default(tmp_path: Path) -> None:
    """The example of the settings file, with every line taken in, has all settings and changes none."""
    text = pages.read("config.ini")
    taken_in = tmp_path / "config.ini"
    taken_in.write_text(re.sub(r"^;(?=\w+ =)", "", text, flags=re.M), encoding="utf-8")
    #: They have no default of their own: what is shown is what they amount to.
    shown_only = {"notifications.policy_url", "database.peewee_url"}

    settings, defaults = config.load(taken_in, {}), config.load(CHECKOUT / "config.ini", {})

    assert defaults.sources == {}
    assert set(settings.sources) == {name for name, _, _ in config.declared()}
    before = {name: value for name, value, _ in defaults.rows()}
    after = {name: value for name, value, _ in settings.rows()}
    assert {name for name in after if after[name] != before[name]} <= shown_only


def test_example_of_the_cherrypy_file_is_what_holds_without_it() -> None:
    """The example of CherryPy's file has the values of the built-in one, and two logs."""
    example = reprconf.Parser.load(str(CHECKOUT / "server.conf"))
    built_in = reprconf.Parser.load(names.DEFAULT_CHERRYPY_CONFIG)

    added = {"log.access_file": "access.log", "log.error_file": "error.log"}
    assert example.pop("global") == {**built_in.pop("global"), **added}
    assert repr(sorted(example)) == repr(sorted(built_in))


def test_tables_page_has_every_column() -> None:
    """The page of the tables has each table, and each column in order, with its type."""
    parts = re.split(r"^## (\w+)$", pages.read("docs/reference/tables.md"), flags=re.M)
    shown = {
        table: re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.M)
        for table, text in zip(parts[1::2], parts[2::2], strict=True)
    }

    assert shown == {
        model._meta.table_name: [(field.column_name, column_type(field)) for field in model._meta.sorted_fields]
        for model in TABLES
    }


def column_type(field: peewee.Field) -> str:
    """Say the type of a column as the page does."""
    words = {
        peewee.AutoField: "counter",
        peewee.BigAutoField: "big counter",
        peewee.BigIntegerField: "big integer",
        peewee.BooleanField: "boolean",
        peewee.CharField: f"varchar({getattr(field, 'max_length', '')})",
        peewee.DateTimeField: "time",
        peewee.DoubleField: "number",
        peewee.FixedCharField: f"char({getattr(field, 'max_length', '')})",
        peewee.ForeignKeyField: "reference",
        peewee.IntegerField: "integer",
        peewee.TextField: "text",
        peewee.UUIDField: "uuid",
    }
    return words[type(field)] + (", null" if field.null else "")


def test_schema_that_the_tables_page_describes_is_ours() -> None:
    """The page names the version of the schema that the code makes."""
    major, minor = orm.OrmSync.versions[-1]

    assert f"Schema {major}.{minor}." in pages.read("docs/reference/tables.md")


def jsonpath_rows() -> Iterator[tuple[str, str]]:
    """Give the expressions of the page about JSONPath with what it says of them."""
    for expression, says in re.findall(r"^\| `(.+?)` \| (\S+)", pages.read("docs/reference/jsonpath.md"), re.M):
        yield expression, says if says in ("yes", "no", "fails") else "refused"


@pytest.mark.parametrize(("expression", "says"), list(jsonpath_rows()))
def test_jsonpath_page_is_right(expression: str, says: str) -> None:
    """An expression matches the page's event, does not, fails on it, or is refused, as the page says."""
    event = json.loads(next(block for block in BLOCKS if block.page.endswith("jsonpath.md")).text)

    try:
        found = "yes" if jsonpath.find(jsonpath.parse(expression), event) else "no"
    except errors.InvalidJSONPath:
        found = "refused"
    except ValueError:
        found = "fails"

    assert found == says


def test_hints_of_the_jsonpath_page_are_given() -> None:
    """An expression of which the page says that it never matches, or always, has a hint that says so."""
    rows = re.findall(
        r"^\| `(.+?)` \| (?:yes|no) \| (never|every event): ", pages.read("docs/reference/jsonpath.md"), re.M
    )

    assert {says for _, says in rows} == {"never", "every event"}
    for expression, says in rows:
        (hint,) = matching.hints(expression)
        assert hint.startswith("never matches: " if says == "never" else "matches every event: ")


@pytest.mark.parametrize("page", ["docs/reference/jsonpath.md", "docs/decisions/work-budget.md"])
def test_pages_have_the_budget(page: str) -> None:
    """A page that says how many steps an expression may take says what the code has."""
    text = pages.read(page)

    assert re.findall(r"(\d+) (?:steps )?for each value", text) == [str(PER_VALUE)]
    assert f"{FLOOR:,} " in text


def test_rest_page_has_every_place_and_status() -> None:
    """The page about REST names each place, query parameter, member, header and status that there is."""
    page = pages.read("docs/reference/rest.md")
    places = [
        "/receive",
        "/eventmatch",
        "/health/live",
        "/health/ready",
        "/schemas/event",
        "/schemas/eventmatch",
        "/keys",
    ]
    statuses = [str(int(problem.status)) for problem in problems.BY_NAME.values()]

    for word in [*places, *listing.PARAMETERS, *MEMBERS, *ADDED, names.HINT_HEADER, "Notifications-Hint"]:
        assert f"`{word}`" in page, word
    for status in statuses:
        assert re.search(rf"^\| {status} \|", page, re.M), status
    for place in re.findall(r"`(/[a-z/]*)`", page):
        find_place(place)


def test_no_place_is_missing_from_the_rest_page() -> None:
    """All that answers stands in the page's list of places."""

    def exposed(place: Any, path: str) -> Iterator[str]:
        if place.exposed:
            yield path or "/"
        for name, below in vars(type(place)).items():
            if hasattr(below, "exposed"):
                yield from exposed(below, f"{path}/{name.replace('_', '.')}")

    page = pages.read("docs/reference/rest.md")

    assert [path for path in exposed(Root(), "") if f"`{path}`" not in page] == []


def test_receiver_page_has_the_headers_and_the_schedule() -> None:
    """The page about receivers names each header of a delivery and the default schedule."""
    page = pages.read("docs/how-to/receiver.md")

    for name in (names.DELIVERY_HEADER, names.ATTEMPT_HEADER, names.REPLAY_HEADER):
        assert f"`{name}`" in page
    assert config.Delivery().retry_schedule == (5, 30, 120, 600, 3600, 7200, 14400, 28800, 28800)
    assert "after 5 s, then 30 s, 2 min, 10 min, 1 h, 2 h, 4 h, and twice 8 h, each varied by 20 %" in page


def test_signed_receiver_of_the_page_works(tmp_path: Path) -> None:
    """The receiver with our module takes what is signed once, by a secret or a key, and nothing else."""
    (text,) = (block.text for block in BLOCKS if block.language == "python" and "VerificationError" in block.text)
    (tmp_path / "receiver.py").write_text(text, encoding="utf-8")
    secret, key, port = new_secret(), new_key("a"), free_port()
    url = f"http://127.0.0.1:{port}/"
    signers = [Signer.of({"schemes": ["v1"], "secret": secret}), Signer.of({"schemes": ["v1a"]}, (key,))]
    session = requests.Session()
    session.trust_env = False

    def post(signer: Signer, delivery: str, body: bytes, sent: bytes | None = None) -> int:
        lines = (line.decode().split(": ", 1) for line in signer.lines(Attempt(delivery, url, body), time.time()))
        return session.post(url, sent or body, headers=dict(lines), timeout=10).status_code

    command = [sys.executable, tmp_path / "receiver.py", str(port)]
    environment = clean_environment(tmp_path / "home", WEBHOOK_KEYS=f"{secret} {key.public_text}")
    with Process(command, tmp_path / "receiver.log", env=environment, cwd=tmp_path) as receiver:
        receiver.until(lambda: post(signers[0], "delivery-0", b"first") == 204, what="the first delivery")
        taken = [post(signer, f"delivery-{number}", b"first") for number, signer in enumerate(signers * 2)]
        again = post(signers[0], "delivery-0", b"again")
        changed = post(signers[1], "delivery-9", b"signed", b"changed")
        log = receiver.log

    assert (taken, again, changed) == ([204] * 4, 204, 401)
    assert log.count("working on first") == 4
    assert "working on again" not in log + receiver.log
    assert "refused: webhook-signature" in log


def test_receiver_of_the_page_works(tmp_path: Path) -> None:
    """The complete receiver takes a delivery, does the work once although it comes twice, and knows a stranger."""
    (text,) = (block.text for block in BLOCKS if block.language == "python" and "sqlite3" in block.text)
    (tmp_path / "receiver.py").write_text(text, encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    event = {"specversion": "1.0", "type": "a", "source": "/b", "id": "c"}
    command = [sys.executable, tmp_path / "receiver.py", str(port)]
    session = requests.Session()
    session.trust_env = False

    def post(delivery: str, password: str = "open sesame") -> int:
        headers = {"Notifications-Delivery": delivery}
        return session.post(url, json=event, headers=headers, auth=("alice", password), timeout=10).status_code

    environment = clean_environment(tmp_path / "home")
    with Process(command, tmp_path / "receiver.log", env=environment, cwd=tmp_path) as receiver:
        receiver.until(lambda: post("first") == 204, what="the first delivery")
        again, second, stranger = post("first"), post("second"), post("third", "guessed")
        with closing(sqlite3.connect(tmp_path / "inbox.sqlite3")) as inbox:
            until(lambda: not inbox.execute("SELECT 1 FROM inbox WHERE NOT done").fetchone(), what="the work")
            kept = inbox.execute("SELECT delivery FROM inbox ORDER BY delivery").fetchall()

    assert (again, second, stranger) == (204, 204, 401)
    assert kept == [("first",), ("second",)]
    assert receiver.log.count("working on c") == 2


def test_picture_is_well_formed() -> None:
    """The picture of the flow is XML, and says in words what it shows."""
    from xml.etree import ElementTree

    root = ElementTree.parse(CHECKOUT / "docs" / "_static" / "flow.svg").getroot()

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "policy server" in (root.findtext("{http://www.w3.org/2000/svg}desc") or "")


def test_configuration_of_sphinx_finds_the_pages_made_from_the_code() -> None:
    """Sphinx's configuration can be read, and has the extension that fills the pages."""
    found = runpy.run_path(str(CHECKOUT / "docs" / "conf.py"))

    assert "from_code" in found["extensions"]
