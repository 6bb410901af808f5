"""Names that are fixed for a process."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    VERSION = version("pacifica-notifications")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "0+unknown"

#: Where the settings and the embedded database live when nothing else is said.
HOME = Path("~/.pacifica-notifications").expanduser()

#: The INI file with the service's settings; it need not exist.
CONFIG_FILE = os.environ.get("NOTIFICATIONS_CONFIG") or str(HOME / "config.ini")

#: The CherryPy file to mount ``rest.Root`` with: what ``NOTIFICATIONS_CPCONFIG`` names, or one that exists.
CHERRYPY_CONFIG: str

#: The CherryPy file that is used where the operator has none.
DEFAULT_CHERRYPY_CONFIG = str(Path(__file__).with_name("server.conf"))

#: Media types that one CloudEvent in structured JSON mode may arrive with.
EVENT_MEDIA_TYPES = ("application/json", "application/cloudevents+json")

#: Headers of our own on every delivery.
DELIVERY_HEADER = "Notifications-Delivery"
ATTEMPT_HEADER = "Notifications-Attempt"
REPLAY_HEADER = "Notifications-Replay"

#: Header of a request by which the proxy shows that it is the proxy.
#: What the embedded server calls itself in WSGI's environment.
SOFTWARE = f"pacifica-notifications/{VERSION}"
PROXY_SECRET_HEADER = "Notifications-Proxy-Secret"  # noqa: S105 - its name

#: Header of an answer that carries advice about a request that was accepted all the same.
HINT_HEADER = "Notifications-Hint"

#: What stands in an answer in place of a secret.
MASK = "***"

#: Event types of our own; they never go to the policy server.
OWN_TYPES = "org.pacifica.notifications."

#: The ``source`` of these, a URI-reference.
OWN_SOURCE = "/pacifica/notifications"

#: Seconds that a worker has been at work before it takes up what was lost more than once: where workers are killed for
#: other reasons, again and again, it is not to count against what they had in hand.
SETTLED = 3.0

#: Seconds after which a worker that gave no sign of life counts as gone.
STALE = 20.0


def __getattr__(name: str) -> str:
    """Find the CherryPy file when it is asked for, so that importing this module looks at no file."""
    if name != "CHERRYPY_CONFIG":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    chosen = os.environ.get("NOTIFICATIONS_CPCONFIG")
    usual = HOME / "cpconfig.ini"
    return chosen or (str(usual) if usual.is_file() else DEFAULT_CHERRYPY_CONFIG)
