"""The short form of `make fuzz` for the API: what is made up by the description is answered as it says."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.watched import Watched, ending_well

from .api import hold_to_description

#: Another one with FUZZ_SEED.
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def test_the_service_does_what_it_describes(tmp_path: Path, sqlite_url: str) -> None:
    """Of requests by the description, right and wrong ones and such that follow from answers, none is a surprise."""
    service = Watched(tmp_path, sqlite_url)

    with ending_well(service):
        status, printed = hold_to_description(service.url, SEED, ["--max-examples", "2"], 500)

    assert status == 0, printed
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in printed
