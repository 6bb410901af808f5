"""Holds the service to its own description: schemathesis makes up requests by `/openapi.json`, and checks answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_FOLDER = Path(__file__).parent


def hold_to_description(url: str, seed: int, options: Sequence[str], seconds: float) -> tuple[int, str]:
    """Send made-up requests to a service, and what follows from its answers; give the status and what was printed.

    All checks are made. 0 means that every answer was as the description says.
    """
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        _FOLDER / "schemathesis.toml",
    ]
    command += ["run", f"{url}/openapi.json", "--checks", "all", "--seed", str(seed), "--no-color", *options]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(_FOLDER)}
    # It leaves files where it runs.
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )
    return done.returncode, done.stdout
