"""`match` tries an expression on events from files, standard input or the log, and says why it matches or not."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from pacifica.notifications.jsonpath import oracle
from tests.support.doors import Doors
from tests.support.factories import make_event
from tests.support.processes import Command, write_config

from .conftest import Run

FILES = '$.data[*][?(@.destinationTable = "Files")].size'
PROJECT = '$.data[*][?(@.destinationTable = "Transactions.project" and @.value = "{}")]'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file of a service that has no database."""
    return write_config(tmp_path / "config.ini", {})


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the command something to read: `stdin(b"...")`; as a terminal with None."""

    def given(body: bytes | None) -> None:
        terminal = body is None
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(body or b""), isatty=lambda: terminal))

    return given


def written(folder: Path, name: str, text: str) -> Path:
    """Write a file with events."""
    place = folder / name
    place.write_text(text, encoding="utf-8")
    return place


def test_explains_for_people(run: Run, file: Path, tmp_path: Path) -> None:
    """Each event has its results or its nearest miss, the steps, the filters with their values; a sum ends it."""
    fits, misses = make_event(), make_event(data=[{"destinationTable": "Files", "mimetype": "image/png"}])
    place = written(tmp_path, "events.json", json.dumps([fits, misses]))

    done = run(file, "match", '$.data[*][?(@.destinationTable = "Files" and @.size)].name', place)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == f"{place}, event 1: matches"
    assert f'    $.data[5].name is "{fits["data"][5]["name"]}"' in lines
    assert '        true   @.destinationTable = "Files" and @.size' in lines
    assert f"{place}, event 2: does not match" in lines
    assert "    `$.data[0]` has no member `size`" in lines
    assert lines[-1] == "1 of 2 events match"


def test_prints_json(run: Run, file: Path, tmp_path: Path) -> None:
    """`--json` has what `explain` gives for each event, the hints, and the numbers."""
    place = written(tmp_path, "event.json", json.dumps(make_event()))

    done = run(file, "match", '$.data[*][?(@.size > "5")]', place, "--json")

    shown = json.loads(done.stdout)
    assert done.returncode == -1
    assert (shown["tried"], shown["matched"]) == (1, 0)
    assert "`>` compares numbers only" in shown["hints"][0]
    (said,) = shown["events"]
    assert (said["event"], said["matches"]) == (str(place), False)
    assert said["nearest_miss"].endswith('wanted more than "5"; `>` compares numbers only')


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"a": 1}', [""]),
        ('{\n"a":\n1}\n', [""]),
        ('[{"a": 1}, {"a": 2}]', [", event 1", ", event 2"]),
        ('{"a": 1}\n\n{"b": 2}\r\n', [", line 1", ", line 3"]),
        ("\ufeff[]", []),
        ("3", [""]),
    ],
    ids=ascii,
)
def test_reads_events(text: str, names: list[str], run: Run, file: Path, tmp_path: Path) -> None:
    """A file has one event, however it is laid out, an array of them, or one on each line."""
    place = written(tmp_path, "events", text)

    done = run(file, "match", "$", place, "--json")

    shown = json.loads(done.stdout)
    assert [each["event"] for each in shown["events"]] == [f"{place}{name}" for name in names]
    assert (done.returncode == 0) == bool(names)


def test_reads_several_files_and_standard_input(run: Run, file: Path, tmp_path: Path, stdin: Any) -> None:
    """Events come from all files in order; `-` is standard input, and so is no file at all."""
    first = written(tmp_path, "first", '{"a": 1}')

    stdin(b'{"a": 2}')
    both = json.loads(run(file, "match", "a", first, "-", "--json").stdout)
    stdin(b'{"a": 3}')
    only = json.loads(run(file, "match", "a", "--json").stdout)

    assert [each["results"][0]["value"] for each in both["events"]] == [1, 2]
    assert [(each["event"], each["results"][0]["value"]) for each in only["events"]] == [("standard input", 3)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": ', "events: is not JSON: "),
        (b'{"a": 1}\n{"a": \n', "events, line 2: is not JSON: "),
        (b"\xff", "events: is not UTF-8, byte 0 is not"),
        (b"[" * 100_000, "events: is nested too deep"),
        (None, "events: No such file or directory"),
    ],
    ids=["json", "line", "utf-8", "deep", "missing"],
)
def test_what_can_not_be_read_is_named(body: bytes | None, said: str, run: Run, file: Path, tmp_path: Path) -> None:
    """What is no event ends the command with one line that says where it is."""
    place = tmp_path / "events"
    if body is not None:
        place.write_bytes(body)

    done = run(file, "match", "$", place)

    assert (done.returncode, done.stdout) == (-1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{tmp_path}/{said}")


@pytest.mark.parametrize(
    "args", [["$", "events", "--log"], ["$", "events", "--event", str(UUID(int=7))], ["$"]], ids=str
)
def test_it_must_be_clear_which_events(args: list[str], run: Run, doors: Doors, stdin: Any) -> None:
    """Files and the log together, an event of the log without the log, and nothing at all are refused."""
    stdin(None)

    done = run(doors.file, "match", *args)

    assert (done.returncode, done.stdout) == (-1, "")
    assert "--log" in done.stderr


def test_mistake_is_shown_with_its_place(run: Run, file: Path) -> None:
    """A mistake in the expression is marked, and said in one line with its remedy; nothing is read."""
    done = run(file, "match", "$.data[?(@.value == 68)]", "no such file")

    shown, mark, said = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (-1, "")
    assert shown[mark.index("^")] == "="
    assert said.endswith("(line 1, column 19); equality is a single '='")


def test_mistake_in_a_long_expression(run: Run, file: Path) -> None:
    """Of a long expression the part around the mistake is shown; what is beyond a bound has no place."""
    long = run(file, "match", "$" + ".abc" * 200 + "\n.x\t[" + ".y" * 100)
    bound = run(file, "match", "$..a..b..c")

    shown, mark, said = long.stderr.splitlines()
    assert (len(shown) <= 100, shown[mark.index("^")]) == (True, ".")
    assert "line 2, column 5" in said
    assert len(bound.stderr.splitlines()) == 1


def test_log_is_tried_newest_first(run: Run, doors: Doors) -> None:
    """`--log` takes the newest stored events, `--event` those that are named; one that is not there is named."""
    old, new = [
        doors.accept(make_event(data=[{"destinationTable": "Transactions.project", "value": text}])) for text in "ab"
    ]

    newest = json.loads(run(doors.file, "match", PROJECT.format("a"), "--log", "--limit", "1", "--json").stdout)
    both = run(doors.file, "match", PROJECT.format("a"), "--log")
    named = run(doors.file, "match", PROJECT.format("a"), "--log", "--event", old)
    unknown = run(doors.file, "match", "$", "--log", "--event", "6f1d1c0e-0000-4000-8000-000000000000")

    assert [(each["event"], each["matches"]) for each in newest["events"]] == [(f"event {new}", False)]
    assert newest["events"][0]["nearest_miss"] == '`$.data[0].value` is "b", wanted "a"'
    assert (both.returncode, both.stdout.splitlines()[-1]) == (0, "1 of 2 events match")
    assert (named.returncode, named.stdout.splitlines()[0]) == (0, f"event {old}: matches")
    assert (unknown.returncode, unknown.stdout) == (-1, "")
    assert unknown.stderr == "6f1d1c0e-0000-4000-8000-000000000000: there is no such event\n"


def test_bounds_are_those_of_the_settings(run: Run, tmp_path: Path) -> None:
    """An expression is held to the bounds that are set, as a subscription is."""
    file = write_config(tmp_path / "config.ini", {"matching.max_descents": 0})

    done = run(file, "match", "$..a", "-")

    assert done.returncode == -1
    assert "at most 0 are taken" in done.stderr


def test_times_are_measured(run: Run, file: Path, tmp_path: Path) -> None:
    """`--bench` has the time of each event, by the expression alone and by an index, and how often it was found."""
    place = written(tmp_path, "events.json", json.dumps([make_event(), {}]))

    table, shown = run(file, "match", FILES, place, "--bench"), run(file, "match", FILES, place, "--bench", "--json")

    header, first, second, parsing, total = table.stdout.splitlines()
    assert header.split() == ["event", "matches", "results", "find", "us", "index", "us"]
    assert [line.split()[-4:-2] for line in (first, second)] == [["yes", "2"], ["no", "0"]]
    assert parsing.startswith("parsing takes ")
    assert total == "1 of 2 events match"
    bench = json.loads(shown.stdout)["bench"]
    assert all(each["find"] > 0 and each["index"] > 0 for each in bench["events"])
    assert bench["parse"] > 0


@pytest.mark.parametrize("text", [FILES, "$.data[::0]", "$..nothing", "data"])
def test_oracle_agrees(text: str, run: Run, file: Path, tmp_path: Path) -> None:
    """With `--oracle` the command is true if jsonpath2 decides the same, whether there is a match or not."""
    place = written(tmp_path, "events.json", json.dumps([make_event(), {"data": []}, {}]))

    plain, shown = run(file, "match", text, place, "--oracle"), run(file, "match", text, place, "--oracle", "--json")

    assert (plain.returncode, plain.stderr) == (0, "")
    assert "jsonpath2 agrees" in plain.stdout
    assert json.loads(shown.stdout)["disagreements"] == []


def test_oracle_disagrees(run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where jsonpath2 decides otherwise the command is false, and names the event."""
    place = written(tmp_path, "events.json", json.dumps([{"a": 1}, {}]))
    monkeypatch.setattr(oracle, "find", lambda text, event: True)

    done = run(file, "match", "a", place, "--oracle")

    assert done.returncode == -1
    assert done.stderr == f"{place}, event 2: no match here, a match by jsonpath2\n"


def test_oracle_is_not_asked_what_would_stop_it(run: Run, file: Path, tmp_path: Path) -> None:
    """Of a slice that jsonpath2 would count to the end it is said that it was not asked."""
    place = written(tmp_path, "event.json", "[1]")

    done = run(file, "match", "$[0:999999999]", place, "--oracle")

    assert done.returncode == -1
    assert "jsonpath2 was not asked" in done.stderr


def test_needs_no_database(tmp_path: Path) -> None:
    """Without `--log` it runs where there is no service and makes no database."""
    done = Command(tmp_path).run("match", "$", str(written(tmp_path, "event.json", "{}")))

    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.rglob("*.sqlite3"))
