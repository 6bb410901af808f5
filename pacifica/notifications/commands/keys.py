"""``create-key`` and ``rotate-keys``: keys that seal secrets in the database, and keys that sign."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from .. import keyfile, orm, signingkeys
from ..config import Settings
from .database import Bars
from .output import complain, write_json, write_table

#: Subscriptions that are named because they can't be sealed anew; ``--json`` names all.
NAMED = 20


def create_key(options: Namespace, settings: Settings) -> bool:
    """Make a key to seal with, or to sign: printed, or added to a file that only its owner can read."""
    kind: keyfile.Kind[Any] = signingkeys.KIND if options.signing else orm.keyring.KIND
    if options.file is None:
        key = keyfile.new(kind, options.id)
        if options.json:
            write_json({"id": key.id, "key": key.text})
        else:
            print(key.text)
        return True
    file = Path(options.file).expanduser().absolute()
    made, alone = keyfile.add(kind, file, options.id)
    if options.json:
        write_json({"id": made, "file": str(file), "signs" if options.signing else "seals": alone or options.signing})
    elif options.signing:
        print(
            f"{'made' if alone else 'added to'} {file} the key {made}; set signing.key_file = {file} and restart every"
            " service and worker: each key of the file signs from then on"
        )
    elif alone:
        print(f"made {file} with the key {made}; set secrets.key_file = {file}, and keep a copy of it elsewhere")
    else:
        print(
            f"added the key {made} to {file}, as the last; when every service and worker was restarted with it, move"
            " its line to the top, restart them, and run rotate-keys"
        )
    return True


def rotate_keys(options: Namespace, settings: Settings) -> bool:
    """Seal every subscription's auth anew with the first key; true if none is left with another."""
    with orm.session(), Bars() as bars:
        resealed = orm.reseal(lambda done, rows: bars.progress("eventmatch", done, rows))
        counts, clear = orm.sealed_with(), orm.in_clear()
    known = orm.keyring.ids()
    rows = [(key, count, _is(key, count, known)) for key, count in counts.items()]
    if options.json:
        write_json(
            {
                "sealed": resealed.done,
                "keys": [{"id": key, "subscriptions": count, "is": said} for key, count, said in rows],
                "clear": clear,
                "faults": {str(uuid): fault for uuid, fault in resealed.faults.items()},
            }
        )
    else:
        print(f"sealed anew: {resealed.done}")
        write_table(("key", "subscriptions", "is"), [*rows, *([("(in clear)", clear, "left")] if clear else [])])
        for uuid, fault in list(resealed.faults.items())[:NAMED]:
            complain(f"{uuid}: {fault}")
        if len(resealed.faults) > NAMED:
            complain(f"and {len(resealed.faults) - NAMED} more; --json names all")
    return not clear and not sum(count for key, count, _said in rows if key != known[0])


def _is(key: str, count: int, known: tuple[str, ...]) -> str:
    """Say what a key is to an operator."""
    if key not in known:
        return "missing"
    if key == known[0]:
        return "the first, which seals"
    return "still needed" if count else "no longer needed"
