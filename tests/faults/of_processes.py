"""Cases 1, 2, 3, 11, 14, 19 and 20: web processes and workers die, end, run short, and do the same at once."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack

import psutil  # type: ignore[import-untyped]

from tests.support.processes import Service, Worker
from tests.support.wait import until

from .catalogue import Impossible, case
from .rig import Rig, Run, deaths_in, ended_well, wait_until_ready

#: Workers that may die of one event: five of it alone, and some that had it among others.
MOST_CRASHES = 10
#: MiB that a worker may take with a backlog before it.
ROOM = 200


@case("1", "kill -9 of web processes, by chance and between insert, commit and answer", "redis")
def webs_die(rig: Rig, long: bool = False) -> Run:
    """What was not answered is sent again and is one row."""
    run = rig.run()
    run.subscribe_good(2)
    for web, point in zip(rig.webs, ("inserted", "committed"), strict=True):
        rig.arm(web, f"{point}:{rig.random.randint(5, 15)}")
        wait_until_ready(web)
    pause = threading.Event()
    with rig.kept() as keeper, run.sender(100, threads=6) as sender:
        until(lambda: keeper.deaths and (deaths_in(rig.webs[0]) or keeper.deaths > 1), 60, "both fail points")
        run.killed(rig.webs[0], keeper.deaths + deaths_in(rig.webs[0]))
        for number in range(100 if long else 3):
            web = rig.webs[number % 2]
            sender.wait_for(10)
            pause.wait(rig.random.uniform(0, 0.05))
            with keeper.paused():
                run.kill(web)
            wait_until_ready(web)
        sender.finish(total=5000 if long else 150)
    return run


@case("2", "kill -9 of workers, by chance and claimed, sent, answered, recorded", "rabbitmq")
def workers_die(rig: Rig, long: bool = False) -> Run:
    """Only what was under way may come again, with the same delivery id."""
    run = rig.run()
    run.subscribe_good()
    # Slow enough to die while an answer is waited for.
    run.subscribe(rig.sink.url(f"/slow/0.1/{run.type}"))
    with rig.kept() as keeper, run.sender(40) as sender:
        for number in range(25 if long else 1):
            died = keeper.deaths
            with keeper.paused():
                for worker, points in zip(rig.workers, (("claimed", "answered"), ("sent", "recorded")), strict=True):
                    run.killed(worker)
                    rig.arm(worker, *(f"{point}:{rig.random.randint(1, 3)}" for point in points))
            until(lambda died=died: keeper.deaths >= died + 4, 90, "all fail points to be reached")
            run.killed(times=4)
            worker = rig.workers[number % 2]
            sender.wait_for(5)
            with keeper.paused():
                run.kill(worker)
        sender.finish(total=5000 if long else 100)
    return run


@case("3", "SIGTERM to one after the other under load", "redis")
def all_are_restarted(rig: Rig, long: bool = False) -> Run:
    """Nothing is lost, nothing comes again, each ends in half a minute."""
    run = rig.run()
    run.subscribe_good()
    run.subscribe(rig.sink.url(f"/slow/0.1/{run.type}"))
    with run.sender(40) as sender:
        for _ in range(5 if long else 1):
            for web, worker in zip(rig.webs, rig.workers, strict=True):
                for part in (worker, web):
                    sender.wait_for(5)
                    # uWSGI has a status of its own for an end by Ctrl-C.
                    ended_well(part) if isinstance(part, Service | Worker) else part.stop()
                    part.start(0)
                # Before the others end: somebody always works.
                wait_until_ready(web)
                wait_until_ready(worker)
        sender.finish(total=2000 if long else None)
    return run


@case("11", "a delivery that kills its worker each time", "redis")
def delivery_kills(rig: Rig, long: bool = False) -> Run:
    """After some crashes it is parked as dead, and no other is."""
    run = _crash_again_and_again(rig, "sending", 200 if long else 30)
    run.check(run.states() == {"delivered": run.sent - 1, "dead": 1}, f"the deliveries are {run.states()}")
    return run


@case("11b", "an event that kills its router each time", "rabbitmq")
def event_kills(rig: Rig, long: bool = False) -> Run:
    """After some crashes it is parked, and no other is."""
    run = _crash_again_and_again(rig, "routing", 200 if long else 30)
    run.check(run.states() == {"delivered": run.sent - 1}, f"the deliveries are {run.states()}")
    return run


def _crash_again_and_again(rig: Rig, point: str, events: int) -> Run:
    """Let workers die of one event, which is drawn by lot, and start them again each time."""
    run = rig.run()
    run.subscribe_good()
    for worker in rig.workers:
        worker.kill()
    with run.sender(200) as sender:
        sender.finish(total=events)
    number = rig.random.randint(1, sender.sent)
    for worker in rig.workers:
        rig.arm(worker, f"{point}@{sender.acked[number]}")
    with rig.kept(sticky=True) as keeper:
        run.drain(60)
    run.killed(times=keeper.deaths)
    run.check(keeper.deaths <= MOST_CRASHES, f"workers died {keeper.deaths} times of one event")
    if point == "routing":
        run.parked.add(number)
    rig.restore()
    return run


@case("14", "all killed and the broker wiped with a backlog", "rabbitmq")
def backlog(rig: Rig, long: bool = False) -> Run:
    """All of it is delivered, and no worker grows with it."""
    run = rig.run()
    run.subscribe_good()
    for worker in rig.workers:
        worker.kill()
        run.killed(worker)
    with run.sender(500) as sender:
        sender.finish(300, total=10_000 if long else 300)
    for web in rig.webs:
        web.kill()
        run.killed(web)
    rig.broker.kill()
    rig.broker.wipe()
    rig.start(*rig.parts)
    run.drain(300 if long else 60)
    for worker in rig.workers:
        size = psutil.Process(worker.pid).memory_info().rss / 2**20
        run.check(size < ROOM, f"a worker took {size:.0f} MiB")
    return run


@case("19", "four workers, short leases, slow targets", "redis")
def many_claim(rig: Rig, long: bool = False) -> Run:
    """Nothing is sent twice at once: a living worker keeps what it has claimed, however long it takes."""
    run = rig.run()
    run.subscribe(rig.sink.url(f"/slow/1.5/{run.type}/a"))
    run.subscribe(rig.sink.url(f"/slow/0.2/{run.type}/b"))
    for worker in rig.workers:
        ended_well(worker)
    with ExitStack() as stack:
        settings = rig.settings(delivery__lease=1)
        for number in range(4 if long else 3):
            stack.enter_context(Worker(rig.folder, settings, name=f"one-of-many{number}"))
        with run.sender(40) as sender:
            sender.finish(total=1000 if long else 60)
        run.drain()
        for arrival in run.arrivals():
            run.check(arrival.attempt == 1, f"delivery {arrival.delivery} had an attempt {arrival.attempt}")
    return run


@case("20", "no file descriptor and no memory left", "redis")
def limits(rig: Rig, long: bool = False) -> Run:
    """What can't be done fails, and is done when there is room again."""
    if not sys.platform.startswith("linux"):
        raise Impossible("only on Linux can a running process be limited", needed=False)
    import resource  # POSIX only

    run = rig.run()
    run.subscribe_good(2)
    run.subscribe(rig.sink.url(f"/slow/0.5/{run.type}"))
    web, worker = rig.webs[1], rig.workers[0]
    with rig.kept() as keeper, run.sender(40) as sender:
        for _ in range(3 if long else 1):
            sender.wait_for(10)
            for part in (web, worker):
                process = psutil.Process(part.pid)
                # No more than it has open now.
                files = process.num_fds()
                process.rlimit(resource.RLIMIT_NOFILE, (files, files))
                if long:
                    memory = process.memory_info().vms + 2**20
                    process.rlimit(resource.RLIMIT_AS, (memory, memory))
            sender.wait_for(30)
            for part in (web, worker):
                with keeper.paused():
                    run.kill(part)
            rig.start(web)
        sender.finish(total=1000 if long else None)
        run.killed(times=keeper.deaths)
    return run
