"""The lines of the table, and the table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .rounds import Samples


@dataclass(frozen=True)
class Line:
    """One line: the key of its figures, what it says, and whether more is better."""

    key: str
    text: str
    more: bool = False
    digits: int = 0


LINES = (
    Line("receive", "`/receive`, events/s", more=True),
    Line("p50", "`/receive`, p50, ms", digits=1),
    Line("p99", "`/receive`, p99, ms", digits=1),
    Line("web_cpu", "CPU of the web process per request, ms", digits=2),
    Line("deliveries", "deliveries/s, 10 matches per event", more=True),
    Line("worker_cpu", "CPU of the worker per delivery, ms", digits=2),
    Line("accepted", "idle: from the 200 to the arrival, p50, ms", digits=1),
    Line("sent", "idle: from the request to the arrival, p50, ms", digits=1),
    Line("idle", "idle: CPU of service and worker, ms/s", digits=1),
    Line("resident", "idle: memory of service and worker (RSS), MiB"),
    Line("own", "idle: the same without what they share (PSS), MiB"),
    Line("import", "import of `pacifica.notifications.rest`, ms"),
    Line("start", "start of the service until it answers, ms"),
)


def table(ours: Samples, old: Samples, title: str) -> str:
    """Give medians with lowest and highest, and how many times better ours is."""
    lines = [f"| {title} | ours | 0.5.2 | ours is better by |", "|---|---|---|---|"]
    for line in LINES:
        if line.key in ours:
            mine, theirs = ours[line.key], old[line.key]
            better, worse = (mine, theirs) if line.more else (theirs, mine)
            cells = [line.text, _cell(mine, line.digits), _cell(theirs, line.digits), _ratio(better, worse)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def _ratio(better: Sequence[float], worse: Sequence[float]) -> str:
    base = statistics.median(worse)
    return f"{statistics.median(better) / base:.1f}" if base else "-"
