"""Cases 12, 13 and 16: targets that hang or fail by turns, connections that break anywhere."""

from __future__ import annotations

from itertools import pairwise

from tests.support import tables
from tests.support.proxy import Kind, Way
from tests.support.wait import until

from .catalogue import case
from .rig import IN_FLIGHT, SETTINGS, Rig, Run

#: Seconds in which a good target gets nearly all of its events beside hanging ones, in the long and the short form.
PROMPT = {True: 2.0, False: 5.0}
#: Seconds that an attempt may take beyond its time limit.
LATE = 2.0
#: What is done to connections in turn.
SPOILS: list[tuple[Kind, Way | None]] = [("stall", None), ("drop", "back"), ("drop", "there"), ("drip", "back")]
#: Length of the sink's answer.
ANSWER = 44


@case("12", "many subscriptions whose target never answers, one good", "rabbitmq")
def target_hangs(rig: Rig, long: bool = False) -> Run:
    """The good one does not notice; each attempt ends at its time limit."""
    run = rig.run()
    run.subscribe_good()
    hanging = [
        run.subscribe(rig.bad_sink.url(f"/hang/{run.type}/{number}"), complete=False)
        for number in range(50 if long else 10)
    ]
    with run.sender(20) as sender:
        sender.finish(total=300 if long else 60)
    good = f"/ok/{run.type}/0"
    until(lambda: len(run.arrivals(good)) >= sender.sent, 60, "the good target to have all")
    waited = sorted(arrival.at - sender.acked_at[int(arrival.id)] for arrival in run.arrivals(good))
    most = waited[int(len(waited) * 0.99) - 1]
    run.check(most < PROMPT[long], f"99 of 100 arrived within {most:.1f} s")
    run.unsubscribe(*hanging)
    run.drain()
    longest = tables.one(rig.url, "SELECT COALESCE(MAX(seconds), 0) FROM deliveryattempt WHERE failure = 'timeout'")
    run.check(longest < float(str(SETTINGS["delivery.timeout"])) + LATE, f"an attempt took {longest:.1f} s")
    return run


@case("13", "a target that fails in a different way each time", "redis")
def target_flaps(rig: Rig, long: bool = False) -> Run:
    """The schedule is kept, Retry-After is obeyed, and one attempt succeeds."""
    run = rig.run()
    run.subscribe(rig.bad_sink.url(f"/script/500,429:2,reset,503:2,200/{run.type}"))
    with run.sender(20) as sender:
        sender.finish(total=15 if long else 5)
    run.drain()
    # libcurl itself repeats a request whose kept connection broke before a byte came: that is one attempt.
    came: dict[str, dict[int, float]] = {}
    for arrival in run.arrivals():
        came.setdefault(arrival.delivery, {}).setdefault(arrival.attempt, arrival.at)
    # The delays of the settings with their jitter of a tenth; where Retry-After says more, that.
    least = [0.3 * 0.9, 2.0, 1 * 0.9, 2.0]
    for delivery, times in came.items():
        run.check(len(times) == 5, f"delivery {delivery} had {len(times)} attempts")
        gaps = [after - before for before, after in pairwise(times.values())]
        early = [f"{gap:.2f} s instead of {wanted:g}" for gap, wanted in zip(gaps, least, strict=False) if gap < wanted]
        run.check(not early, f"delivery {delivery} was sent again too early: {early}")
    return run


@case("16", "connections stall, break and lose bytes: to database, broker and target", "rabbitmq")
def network_fails(rig: Rig, long: bool = False) -> Run:
    """What is unknown is done again, with the same delivery id."""
    run = rig.run()
    run.subscribe_good(proxied=True)
    sizes = range(ANSWER + 1) if long else (0, 1, ANSWER // 2, ANSWER - 1)
    with run.sender(60, threads=12) as sender:
        for size in sizes:
            broken = rig.sink_proxy.broken
            rig.sink_proxy.switch("cut", "back", size)
            until(lambda broken=broken: rig.sink_proxy.broken > broken + 2, 30, "answers to be cut")
        # What was swallowed leaves a connection that nobody can use.
        for proxy in (rig.sink_proxy, rig.broker_proxy, rig.database_proxy):
            for kind, way in SPOILS:
                if proxy is rig.database_proxy and kind == "drip":
                    continue
                proxy.switch(kind, way)
                sender.wait_for(10)
                proxy.switch("reset")
                sender.wait_for(10)
                proxy.switch("pass")
                sender.wait_for(10)
        sender.finish(total=3000 if long else None)
    # Every answer that was cut off, and what a worker had in flight when the database was away.
    run.excused += rig.sink_proxy.broken + 12 * IN_FLIGHT
    return run
