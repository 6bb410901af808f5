"""What is compared with release 0.5.2, line by line."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .figures import Figure
from .rounds import Samples


@dataclass(frozen=True)
class Line:
    """One line: the key of its figures, what it says, whether more is better, how many times better is wanted."""

    key: str
    text: str
    more: bool = False
    digits: int = 0
    least: float = 1


LINES = (
    Line("receive", "`/receive`, events/s", more=True),
    Line("p50", "`/receive`, p50, ms", digits=1),
    Line("p99", "`/receive`, p99, ms", digits=1),
    Line("web_cpu", "CPU of the web process per request, ms", digits=2, least=2.5),
    Line("deliveries", "deliveries/s, 10 matches per event", more=True),
    Line("worker_cpu", "CPU of the worker per delivery, ms", digits=2, least=100),
    Line("accepted", "idle: from the 200 to the arrival, p50, ms", digits=1, least=2.5),
    Line("sent", "idle: from the request to the arrival, p50, ms", digits=1),
    Line("idle", "idle: CPU of service and worker, ms/s", digits=1),
    Line("resident", "idle: memory of service and worker (RSS), MiB"),
    Line("own", "idle: the same without what they share (PSS), MiB"),
    Line("import", "import of `pacifica.notifications.rest`, ms"),
    Line("start", "start of the service until it answers, ms"),
)


def figures(ours: Samples, old: Samples, where: str) -> list[Figure]:
    """Give how many times better ours is in each line that was measured, with the medians of both."""
    found = []
    for line in LINES:
        mine, theirs = ours.get(line.key, []), old.get(line.key, [])
        better, worse = (mine, theirs) if line.more else (theirs, mine)
        times = [good / bad for good, bad in zip(better, worse, strict=True) if bad]
        if times:
            medians = [f"{statistics.median(values):,.{line.digits}f}" for values in (mine, theirs)]
            text = f"times better than release 0.5.2, {where}: {line.text}"
            found.append(Figure(text, times, " ×", " against ".join(medians), least=line.least, digits=2))
    return found
