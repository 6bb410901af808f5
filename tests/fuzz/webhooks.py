"""JSON that nobody here wrote: payloads of GitHub's webhooks, from the npm package ``@octokit/webhooks-examples``."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

#: Where `make test` installs it, beside the environment's own files.
FILE = Path(sys.prefix, "npm/node_modules/@octokit/webhooks-examples/api.github.com/index.json")


@cache
def webhooks() -> tuple[Any, ...]:
    """Give all payloads, each wrapped as a CloudEvent; none where the package is not installed."""
    if not FILE.exists():
        return ()
    return tuple(
        {
            "specversion": "1.0",
            "type": f"com.github.{kind['name']}",
            "source": "https://github.com/octo-org",
            "id": f"{kind['name']}-{number}",
            "data": payload,
        }
        for kind in json.loads(FILE.read_text(encoding="utf-8"))
        for number, payload in enumerate(kind["examples"])
    )
