"""Cases 4 to 9: the broker and the database go away, forget, freeze, run full; the clock jumps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import requests

from tests.support.process import becoming
from tests.support.servers import PostgreSQL, RabbitMQ
from tests.support.wait import until

from .catalogue import Impossible, case
from .rig import Rig, Run

#: Seconds that `/receive` may take while the broker is away.
SLOWEST = 5
#: Seconds in which a request must be answered while the database is frozen.
FROZEN = 25
#: What moves the wall clock of a process. (libfaketime can't without moving the monotonic clock as well.)
CLOCK = Path(__file__).with_name("clock.c")


@case("4", "the broker is restarted and killed", "rabbitmq")
def broker_dies(rig: Rig, long: bool = False) -> Run:
    """Events are taken all the while and never wait for it; deliveries go on by themselves."""
    run = rig.run()
    run.subscribe_good()
    with run.sender(50) as sender:
        for number in range(6 if long else 1):
            sender.wait_for(20)
            rig.broker.kill() if number % 2 == 0 else rig.broker.stop()
            run.kills += 1
            sender.wait_for(20)
            rig.broker.start()
            sender.wait_for(20)
        sender.finish(total=2000 if long else None)
    run.check(sender.slowest < SLOWEST, f"/receive took {sender.slowest:.1f} s")
    run.drain(30)
    run.check(run.states().keys() == {"delivered"}, "delivery was not resumed within 30 s")
    return run


@case("5", "the broker's data are lost", "redis")
def broker_forgets(rig: Rig, long: bool = False) -> Run:
    """All is delivered from the rows alone."""
    run = rig.run()
    run.subscribe_good()
    with run.sender(60) as sender:
        for _ in range(5 if long else 2):
            sender.wait_for(30)
            rig.broker.kill()
            run.kills += 1
            rig.broker.wipe()
        sender.wait_for(10)
        sender.finish(total=2000 if long else None)
    return run


@case("6", "the database is restarted, cleanly and as by a crash", "rabbitmq")
def database_dies(rig: Rig, long: bool = False) -> Run:
    """503 with Retry-After meanwhile, then all goes on; no event gets to one subscription and not to the other."""
    run = rig.run()
    run.subscribe_good(3)
    with run.sender(50) as sender:
        for number in range(10 if long else 2):
            sender.wait_for(20)
            refused = sender.statuses[503]
            rig.database.stop("fast" if number % 2 == 0 else "immediate")
            # What was sent and could not be written down is sent again when its lease has ended.
            run.killed()
            until(lambda refused=refused: sender.statuses[503] > refused, 30, "an answer 503")
            rig.database.start()
        sender.wait_for(20)
        sender.finish(total=2000 if long else None)
    run.check(sender.statuses[503], "no request was answered 503")
    return run


@case("7", "the database is frozen", "redis")
def database_freezes(rig: Rig, long: bool = False) -> Run:
    """Requests are answered 503 in time, the live check says why, and afterwards all goes on."""
    run = rig.run()
    run.subscribe_good()
    with run.sender(30, threads=30) as sender:
        sender.wait_for(20)
        with frozen(rig.database):
            run.killed()
            until(lambda: sender.statuses[503], FROZEN, "requests to be answered 503")
            for number in (0, 1):
                try:
                    live = rig.request("GET", "/health/live", web=number, timeout=FROZEN).json()
                    run.check(live.get("database") == "does not answer", f"the live check says {live}")
                except requests.RequestException as error:
                    run.problems.append(f"the live check of web{number + 1}: {type(error).__name__}")
            if long:
                threading.Event().wait(60)
        sender.wait_for(20)
        sender.finish()
    run.check(sender.slowest < FROZEN, f"/receive took {sender.slowest:.1f} s")
    return run


@contextmanager
def frozen(server: PostgreSQL) -> Iterator[None]:
    """Stop a server and its children where they stand, and let them go on at the end."""
    leader = psutil.Process(server.process.pid)
    processes = [leader, *leader.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@case("8", "the disk of the database is full; the broker has an alarm for its own", "rabbitmq")
def disk_is_full(rig: Rig, long: bool = False) -> Run:
    """No 2xx for what is not stored, nobody hangs, and all goes on when there is room."""
    disk = SmallDisk(kept=True)
    reason = disk.forbidden()
    if reason:
        raise Impossible(reason, needed=False)
    with disk, rig.beside(disk) as small:
        run = small.run()
        run.subscribe_good()
        with run.sender(100, webs=(0,)) as sender:
            sender.wait_for(20)
            for _ in range(3 if long else 1):
                refused = sender.statuses[503]
                with alarm(rig.broker), disk.full():
                    until(lambda refused=refused: sender.statuses[503] > refused + 5, 60, "answers 503")
                if not disk.running:
                    disk.kill()
                    disk.start()
                run.killed()
                sender.wait_for(20)
            sender.finish()
        run.drain()
        run.ended = run.end()
    return run


class SmallDisk(PostgreSQL):
    """PostgreSQL with its data on a file system of 128 MiB in memory; only root can make one."""

    def forbidden(self) -> str | None:
        """Return why there can be none here, or None."""
        if os.geteuid() != 0:
            return "only root can mount a small file system"
        place = self.folder / "try"
        place.mkdir()
        done = self._mount(place, "size=1m")
        if done.returncode == 0:
            subprocess.run(["umount", str(place)], check=True)
            return None
        self.close()
        return f"no file system can be mounted here: {done.stderr.strip()}"

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room meanwhile."""
        file = self._data / "full"
        with file.open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(bytes(2**16)):
                continue
        try:
            yield
        finally:
            file.unlink()

    def close(self) -> None:
        """Leave no mount behind."""
        self.kill()
        if self._folder is not None and self._data.is_mount():
            subprocess.run(["umount", "-l", str(self._data)], check=True)
        super().close()

    def _make_data(self) -> None:
        who = becoming(self._user())
        owner = shutil._get_uid(who["user"]) if who else os.geteuid()  # type: ignore[attr-defined]
        done = self._mount(self._data, f"size=128m,mode=0700,uid={owner}")
        assert done.returncode == 0, done.stderr
        super()._make_data()

    def _mount(self, place: Path, options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def alarm(broker: object) -> Iterator[None]:
    """Let RabbitMQ believe that its disk is full: it takes nothing from who publishes."""
    if not isinstance(broker, RabbitMQ):
        yield
        return
    broker.set_disk_limit(10**16)
    try:
        yield
    finally:
        broker.set_disk_limit(10**6)


@case("9", "the clock of web process and worker jumps", "redis")
def clock_jumps(rig: Rig, long: bool = False) -> Run:
    """No retry comes early or late, and none is used up: times are those of the database."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise Impossible("the wall clock of a process can be moved on Linux alone, and with a C compiler")
    library, ahead = rig.folder / "clock.so", rig.folder / "clock"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(CLOCK)], check=True)
    ahead.write_text("0")
    env = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(ahead), "TZ": "Europe/Berlin"}
    # The nights in which summer time begins and ends, each a second before.
    nights = [datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2026, 10, 25, 0, 59, 59, tzinfo=UTC)]
    jumps = [7200, -7200, 365 * 86400, *(int(night.timestamp() - time.time()) for night in nights)]
    with rig.beside(env=env) as other:
        run = other.run()
        run.subscribe(rig.bad_sink.url(f"/script/500,500,200/{run.type}"))
        with run.sender(20, webs=(0,)) as sender:
            for jump in jumps * (5 if long else 1):
                sender.wait_for(10)
                ahead.write_text(str(jump))
            sender.wait_for(10)
            sender.finish()
        run.drain()
        attempts = sorted(arrival.attempt for arrival in run.arrivals())
        wanted = sorted([1, 2, 3] * sender.sent)
        run.check(attempts == wanted, f"{len(attempts)} attempts for {sender.sent} deliveries of three")
        run.ended = run.end()
    return run
