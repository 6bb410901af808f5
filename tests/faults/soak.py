"""The soak: load for long, and every few seconds another fault."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]

from tests.support.wait import until

from .catalogue import Case
from .rig import IN_FLIGHT, Keeper, Rig, Run
from .sender import Sender

#: Where a worker, and where a web process is made to die.
WORKER_POINTS = ("claimed", "sent", "answered", "recorded", "routing")
WEB_POINTS = ("inserted", "committed")


def soak(rig: Rig, events: int, kills: int, rate: float) -> Run:
    """Send so many events, and spread so many kills over them; a seed gives the same ones again."""
    run = rig.run()
    run.subscribe_good()
    run.subscribe(rig.sink.url(f"/slow/0.05/{run.type}"), rare=True)
    run.subscribe(rig.sink.url(f"/script/500,200/{run.type}"), rare=True)
    with rig.kept() as keeper, run.sender(rate) as sender:
        for number in range(1, kills + 1):
            reached = events * number // (kills + 1)
            until(lambda reached=reached: len(sender.acked) >= reached, 3600, f"{reached} events to be accepted")
            _fault(rig, run, keeper, sender)
        sender.finish(600, total=events)
        run.drain(1800)
        sizes = [_resident(part.pid) for part in rig.parts]
    print(f"seed {rig.seed}: statuses {dict(sender.statuses)}, MiB of each process at the end {sizes}")
    return run


def _resident(pid: int) -> int:
    """Return the MiB of a process and its children."""
    leader = psutil.Process(pid)
    return sum(process.memory_info().rss for process in [leader, *leader.children(recursive=True)]) >> 20


SOAK = Case("soak", "all of it by chance", soak, "rabbitmq")


def _fault(rig: Rig, run: Run, keeper: Keeper, sender: Sender) -> None:
    """Kill something that is drawn by lot; one kill each."""
    choice = rig.random.choice(["web", "worker", "worker", "fail point", "fail point", "broker", "wipe", "database"])
    print(f"{len(sender.acked)} events: {choice}", flush=True)
    if choice in ("web", "worker"):
        part = rig.random.choice(rig.webs if choice == "web" else rig.workers)
        with keeper.paused():
            run.kill(part)
    elif choice == "fail point":
        part = rig.random.choice([*rig.webs[1:], *rig.workers])
        point = rig.random.choice(WORKER_POINTS if part in rig.workers else WEB_POINTS)
        died = keeper.deaths
        with keeper.paused():
            run.killed(part)
            rig.arm(part, f"{point}:{rig.random.randint(1, 20)}")
        until(lambda: keeper.deaths > died, 120, f"the fail point {point}")
        run.excused += IN_FLIGHT
    elif choice == "database":
        rig.database.stop(rig.random.choice(["fast", "immediate"]))
        run.killed()
        rig.database.start()
    else:
        rig.broker.kill()
        run.killed()
        rig.broker.wipe() if choice == "wipe" else rig.broker.start()
