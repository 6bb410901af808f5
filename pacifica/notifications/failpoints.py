"""Points at which a tester can let a process die, to see that nothing is lost by it."""

from __future__ import annotations

import logging
import os
import random
import re
from dataclasses import dataclass

LOG = logging.getLogger(__name__)

VARIABLE = "NOTIFICATIONS_FAILPOINT"
SEED = "NOTIFICATIONS_FAILPOINT_SEED"
#: Every point, and what has happened when it is reached.
POINTS = {
    "inserted": "event rows are written; where all are new, with the statement that commits them",
    "committed": "event rows are committed, nobody was told",
    "claimed": "deliveries are claimed",
    "sent": "an attempt has begun",
    "answered": "a target's answer is here, not written down",
    "recorded": "what came of attempts is written and committed",
    "routing": "an event is about to be matched; the subject is its uuid",
    "sending": "a delivery is about to be sent; the subject is its event's uuid",
}
_FORM = re.compile(r"(?P<name>[a-z]+)(?::(?P<count>[1-9]\d*)(?:/(?P<of>[1-9]\d*))?|@(?P<subject>[0-9a-fA-F-]{36}))?")


@dataclass(slots=True)
class FailPoint:
    """Where and when the process dies: at the ``count``-th hit, or with a chance, or for one subject alone."""

    name: str
    count: int
    chance: float
    subject: str
    chances: random.Random

    def reached(self, name: str, subject: str) -> bool:
        """Tell whether this hit is the one."""
        if name != self.name or (self.subject and subject != self.subject):
            return False
        if self.chance:
            return self.chances.random() < self.chance
        self.count -= 1
        return self.count <= 0


def parse(text: str, seed: str | None = None) -> FailPoint:
    """Read ``name``, ``name:N``, ``name:1/N`` or ``name@UUID``; raises ``ValueError`` for anything else."""
    found = _FORM.fullmatch(text)
    if not found or found["name"] not in POINTS:
        raise ValueError(
            f"{VARIABLE}: {text!r} is no fail point; it is one of {', '.join(POINTS)}, alone or with :N, :1/N or @UUID"
        )
    chance = int(found["count"]) / int(found["of"]) if found["of"] else 0.0
    chances = random.Random(seed)  # noqa: S311 - no secret
    return FailPoint(found["name"], int(found["count"] or 1), chance, (found["subject"] or "").lower(), chances)


_set = parse(os.environ[VARIABLE], os.environ.get(SEED)) if os.environ.get(VARIABLE) else None
if _set:
    LOG.warning("failpoint.set %s=%s: this process will kill itself; never in production", VARIABLE, _set.name)


def hit(name: str, subject: object = "") -> None:
    """Die at once, as by kill -9, if this is the point that is set; otherwise do nothing."""
    if _set is not None and _set.reached(name, str(subject)):
        os._exit(9)
