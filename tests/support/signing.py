"""The vectors of signatures, which the libraries of Standard Webhooks made and verified; and who verifies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

from .missing import missing
from .target import Request

SECRET = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
OLD = "whsec_ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="
ID, TIMESTAMP = "evt_01_facility-000042", 1767225600
BODY = (
    '{"specversion":"1.0","id":"42","source":"/beamline/7","type":"org.facility.scan.finished",'
    '"time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{"scan":1234,"name":"Proben-Größe €"}}'
).encode()
V1 = "v1,VmniQzpTEOJszUXpNdStmO2nNY6yaLr1MkHTvVXPuIQ="
#: The service's key of the vector, and its public half.
SEED = "e2f2Skg+3xCg7Mx9rAntfPSgKLaSpllgOJ6p1HbTj5g="
PUBLIC = "whpk_mr/WO9JzqfYkmU0FxSD8kFp94128AwmP6TB7HLBEH/I="
V1A = "v1a,o2kuqXUvOoER+nmlEeP1CZ5rO1bWFmH7mH680FNC7vDBS8Av+LYs6TeJcE1lAn5v/qOgn19RWn18kPtM9KBeAQ=="
V1_OLD = "v1,zjmJqJDfX/fKPm9TaRHwc37BPA0ax+z82UBEGURNs6g="

#: The vector of RFC 9421, made and verified by `http-message-signatures`.
URL, KEY_ID = "https://consumer.example.org/hook?x=1", "facility-2026"
DIGEST = "sha-256=:hZjJ+sDToctJcWS9QTBpewJ5t2ttpNWl/Xu+OSycbq8=:"
INPUT = (
    'sig1=("@method" "@target-uri" "content-type" "content-digest" "webhook-id")'
    ';created=1767225600;keyid="facility-2026";alg="hmac-sha256"'
)
SIGNATURE = "sig1=:lJqDaacusYxJJ7VRyvwliDefYsUAplRulW6FvrB2VOw=:"

_MODULES = Path(sys.prefix, "npm", "node_modules")
_SCRIPT = Path(__file__).with_name("standardwebhooks.cjs")


def signing_key(name: str) -> str:
    """Return the key of the vector as it stands in the setting."""
    return f"{name}:whsk_{b64encode(b64decode(SEED) + b64decode(PUBLIC[5:])).decode()}"


def headers_of(request: Request) -> dict[str, str]:
    """Return the headers of a request by their names in lower case."""
    return {name.lower(): value for name, value in request.headers}


def verified_by_javascript(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Tell whether the library of Standard Webhooks for JavaScript verifies a delivery."""
    node = shutil.which("node")
    if node is None or not (_MODULES / "standardwebhooks").is_dir():
        missing("the library of Standard Webhooks for JavaScript is not installed, or there is no node")
    done = subprocess.run(
        [node, _SCRIPT],
        input=json.dumps({"secret": secret, "headers": headers, "body": b64encode(body).decode()}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"NODE_PATH": str(_MODULES)},
    )
    return bool(json.loads(done.stdout))
