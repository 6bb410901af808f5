"""A newcomer copies every line of the README's walk and of the tutorial."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from ..support import pages
from ..support.missing import missing
from ..support.pages import Block
from ..support.ports import free_port
from ..support.process import Process, clean_environment
from ..support.processes import script
from ..support.wait import Hopeless, until

#: Where the walk begins in a page, and whether the service is running by then.
WALKS = {"README.md": ("## Five minutes", True), "docs/tutorial.md": ("## Start", False)}
_VARYING = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "TIME"),
)
_END = "the end of the block: "


class Newcomer:
    """Somebody with several terminals in one folder: two with a program that goes on, one for everything else."""

    def __init__(self, folder: Path) -> None:
        """Take an empty folder; the home in it is empty too."""
        self.folder = folder
        self.ports = {"8070": str(free_port()), "8080": str(free_port())}
        cherrypy = folder / "cpconfig.ini"
        cherrypy.write_text(f"[global]\nserver.socket_port: {self.ports['8070']}\n")
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')
        self.environment = clean_environment(folder / "home", NOTIFICATIONS_CPCONFIG=str(cherrypy))
        self.programs: dict[str, Process] = {}
        self.printed = ""
        self._log = folder / "terminal.log"
        with self._log.open("wb") as log:
            self._shell = subprocess.Popen(
                ["bash"], stdin=subprocess.PIPE, stdout=log, stderr=log, env=self.environment, cwd=folder
            )

    def close(self) -> None:
        """Close all terminals."""
        for program in self.programs.values():
            program.close()
        self._shell.kill()
        self._shell.communicate()

    def paste(self, block: Block) -> None:
        """Paste a block where it belongs: a program that goes on into a terminal of its own."""
        text = block.text
        for written, free in self.ports.items():
            text = re.sub(rf"(?<=[: ]){written}\b", free, text)
        last = text.strip().splitlines()[-1]
        if re.search(r"(^|\s)pacifica-notifications(\s|$)", last):
            self.serve(text)
        elif "pacifica-notifications-cmd receiver" in last:
            self._start("receiver", text).wait_for_output("listening on")
        else:
            self.printed = self._run(text)

    def serve(self, text: str) -> None:
        """Start the service and wait until it is ready."""
        service = self._start("service", text)
        url = f"http://127.0.0.1:{self.ports['8070']}/health/ready"
        service.until(lambda: urlopen(url, timeout=5).status == 200, what="the service to be ready")

    def _start(self, name: str, text: str) -> Process:
        if name in self.programs:
            # It is the same terminal, in which the environment was activated.
            self.programs[name].close()
            text = f". .venv/bin/activate\n{text}"
        self.programs[name] = Process(
            ["bash", "-ec", text], self.folder / f"{name}.log", env=self.environment, cwd=self.folder
        )
        self.programs[name].start()
        return self.programs[name]

    def _run(self, text: str) -> str:
        """Give what a block prints; every command in it must succeed."""
        assert self._shell.stdin is not None
        begin = self._log.stat().st_size
        self._shell.stdin.write(f"set -eo pipefail\n{text}\nset +e\necho; echo '{_END}'\n".encode())
        self._shell.stdin.flush()

        def ended() -> str:
            with self._log.open("rb") as log:
                log.seek(begin)
                printed = log.read().decode()
            if _END not in printed and self._shell.poll() is not None:
                raise Hopeless(f"a command failed:\n{text}\n{printed}")
            return printed.partition(_END)[0] if _END in printed else ""

        return until(ended, 60, f"the end of\n{text}")

    def rest(self) -> None:
        """Wait until the service has nothing to do, as somebody who reads on does."""

        def nothing_left() -> bool:
            with closing(sqlite3.connect(self.folder / "home/.pacifica-notifications/notifications.sqlite3")) as base:
                (events,) = base.execute("SELECT count(*) FROM eventlog WHERE route_at IS NOT NULL").fetchone()
                (deliveries,) = base.execute("SELECT count(*) FROM eventlogmatch WHERE state = 'pending'").fetchone()
            return not events and not deliveries

        self.programs["service"].until(nothing_left, what="all deliveries to end")

    def sees(self, block: Block) -> bool:
        """Tell whether what a page shows stands in any terminal."""
        shown = _plain(block.text)
        return any(shown in _plain(text) for text in (self.printed, *(each.log for each in self.programs.values())))


def _plain(text: str) -> str:
    for varying, name in _VARYING:
        text = varying.sub(name, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    """Somebody at an empty machine."""
    try:
        somebody = Newcomer(tmp_path)
    except FileNotFoundError:
        missing("bash is not installed here")
    yield somebody
    somebody.close()


@pytest.mark.skipif(os.name == "nt", reason="the walks are for a POSIX shell")
@pytest.mark.parametrize("page", WALKS)
def test_every_command_of_a_walk_does_what_the_page_shows(page: str, newcomer: Newcomer) -> None:
    """Pasted in order, the commands succeed, and every output that the page shows comes."""
    begin, running = WALKS[page]
    walk = pages.read(page).partition(f"\n{begin}\n")[2]
    blocks = list(pages.blocks_of(page, walk))
    assert {block.language for block in blocks} == {"bash", "text"}
    if running:
        newcomer.serve(str(script("pacifica-notifications")))

    for block in blocks:
        if block.language == "bash":
            if "service" in newcomer.programs:
                newcomer.rest()
            newcomer.paste(block)
        else:
            until(lambda block=block: newcomer.sees(block), 20, f"the output\n{block.text}")


def test_all_walked_pages_are_walked() -> None:
    """A page whose output is not checked by `test_docs` is walked here."""
    assert set(WALKS) == set(pages.WALKED)
