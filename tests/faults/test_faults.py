"""The cases of the fault rig in their short form, the brokers in turn."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.missing import missing

from . import CASES
from .catalogue import Case, Impossible, play
from .rig import BROKERS, Rig

#: All of one broker, then all of the other: each rig is started once.
SHORT = sorted(CASES.values(), key=lambda case: list(BROKERS).index(case.broker))


@pytest.fixture(scope="module")
def rig_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Rig]]:
    """Give the rig with a broker; the one with the other broker is ended before."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(10**6)))
    rigs: dict[str, Rig] = {}
    with ExitStack() as stack:

        def started(broker: str) -> Rig:
            if broker not in rigs:
                stack.close()
                rigs.clear()
                reason = Rig.available(broker)
                if reason:
                    missing(reason)
                folder: Path = tmp_path_factory.mktemp(broker)
                rigs[broker] = stack.enter_context(Rig(folder, broker, seed))
            return rigs[broker]

        yield started


@pytest.mark.skipif(os.name != "posix", reason="the fault rig: needs a POSIX system")
@pytest.mark.parametrize("case", SHORT, ids=[f"{case.name}-{case.broker}" for case in SHORT])
def test_nothing_is_lost(rig_of: Callable[[str], Rig], case: Case) -> None:
    """Whatever fails, each event that was answered 2xx is delivered or dead, and all is afterwards as before."""
    rig = rig_of(case.broker)

    try:
        found = play(rig, case)
    except Impossible as error:
        if error.needed:
            missing(str(error))
        pytest.skip(str(error))

    print(f"{case.what}: {found}; again with: python -m tests.faults {case.name} --seed {rig.seed}")
    assert found.problems == []
