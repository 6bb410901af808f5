"""The key that the services of the tests are given, as an operator gives one: by a setting."""

from __future__ import annotations

from base64 import b64encode
from secrets import token_bytes

#: Name of the setting, and of its variable.
SETTING, VARIABLE = "secrets.keys", "NOTIFICATIONS_SECRETS_KEYS"


def make_key(name: str) -> str:
    """Return a new key as it stands in the setting."""
    return f"{name}:{b64encode(token_bytes(32)).decode()}"


#: Made anew in each run.
KEY = make_key("tests")

#: Name of the setting for keys that sign.
SIGNING = "signing.keys"
