"""``token``: makes, lists and revokes the tokens by which callers say who they are."""

from __future__ import annotations

import json
from argparse import Namespace

from .. import orm
from ..access import Role, roles_of
from ..config import Settings
from ..errors import Refused
from ..orm import Token
from ..subscriptions import USER
from .output import complain, write_json, write_table

_HEADER = ("name", "user", "role", "sources", "types", "created", "expires", "used")


def token_create(options: Namespace, settings: Settings) -> bool:
    """Make a token and print it, this once: only its digest is stored."""
    for name, value in (("NAME", options.name), ("--user", options.user)):
        if not USER.fullmatch(value):
            raise Refused(f"{name} must be 1 to 255 visible ASCII characters without a comma")
    roles = roles_of([options.role], dict(settings.auth.roles))
    if not roles:
        known = [*Role, *(name for name, _role in settings.auth.roles)]
        raise Refused(f"--role must be one of {', '.join(known)} (the last from auth.roles)")
    if (options.source or options.type) and roles != {Role.PRODUCER}:
        raise Refused("--source and --type limit what is sent, and go with the role producer alone")
    with orm.session():
        text, row = Token.make(
            options.name, options.user, options.role, options.source, options.type, options.days or None
        )
    if options.json:
        write_json({**_shown(row), "token": text})
    else:
        print(text)
        complain(f"expires {_shown(row)['expires'] or 'never'}; it is shown this once: keep it where secrets are kept")
    return True


def token_list(options: Namespace, settings: Settings) -> bool:
    """List the tokens: whose they are, what they may, when they expire and were used last."""
    with orm.session():
        found = [_shown(row) for row in Token.all_of()]
    if options.json:
        write_json(found)
    else:
        write_table(_HEADER, [[_cell(row[name]) for name in _HEADER] for row in found])
    return True


def token_revoke(options: Namespace, settings: Settings) -> bool:
    """Revoke a token: it is unknown from now on, and its name is free."""
    with orm.session():
        revoked = Token.revoke(options.name)
    if options.json:
        write_json({"name": options.name, "revoked": revoked})
    elif revoked:
        print(f"revoked {options.name}")
    if not revoked:
        complain(f"there is no token {options.name}")
    return revoked


def _shown(row: Token) -> dict[str, object]:
    """Give what may be told of a token; its digest is no secret, and of no use either."""
    found = {name: value for name, value in row.to_hash().items() if name in _HEADER}
    return found | {name: json.loads(getattr(row, name)) for name in ("sources", "types")}


def _cell(value: object) -> object:
    return " ".join(value) or None if isinstance(value, list) else value
