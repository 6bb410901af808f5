"""Makes events from a source of chance: small ones of any shape, and those that Pacifica sends."""

from __future__ import annotations

import json
from random import Random
from typing import Any

NAMES = ("a", "b", "c", "d", "e_1", "name", "value", "key", "data", "or", "length", "x-y", "é", "", "0", "\\u0061", "q")
#: As text, so that they are what `json.loads` makes of them.
VALUES = (
    '"x"', '"y"', '"xy"', '""', '"a"', '"é"', '"\\\\u0078"', '"1"', '"name"', '"\\n"', "0", "1", "2", "-1", "3", "1.0",
    "0.0", "-0.0", "1.5", "2.0", "10", "18446744073709551616", "18446744073709551615", "18446744073709551616.0",
    "1e400", "true", "false", "null", "{}", "[]",
)  # fmt: skip

TABLES = ("Transactions._id", "Transactions.submitter", "Transactions.project", "Transactions.instrument")
WORDS = ("x", "y", "1234a", "Ünïcode", "text/plain", "image/png", "a.dat", "b/c/", "", "Project", "Blah")


class Events:
    """Events as `json.loads` gives them."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def any(self) -> Any:
        """Make a small value of any shape, seldom a scalar."""
        return json.loads(self._text(self._chance.choice((2, 3, 3, 4)), top=True))

    def _text(self, depth: int, *, top: bool = False) -> str:
        roll = self._chance.random()
        if not top and (not depth or roll < 0.4):
            return self._chance.choice(VALUES)
        if roll < 0.05:
            return self._chance.choice(VALUES)
        if roll < 0.75:
            # A name may come twice: the last one counts.
            pairs = (
                f"{json.dumps(self._chance.choice(NAMES[:9] if self._chance.random() < 0.85 else NAMES))}: "
                f"{self._text(depth - 1)}"
                for _ in range(self._chance.randint(0, 5))
            )
            return f"{{{', '.join(pairs)}}}"
        return f"[{', '.join(self._text(depth - 1) for _ in range(self._chance.randint(0, 4)))}]"

    def pacifica(self) -> Any:
        """Make an event as the metadata service sends it, with members and values that the expressions name."""
        number = self._chance.randint(1, 5)
        kind = self._chance.choice(("ingest", "ingest", "ingest", "orm", "doientry", "doiupdate"))
        data: Any
        if kind == "ingest":
            data = self._ingest(number)
        elif kind == "orm":
            data = {"obj_type": "files", "obj_primary_keys": [{"_id": number}], "method": "insert"}
        else:
            data = [{"entry": number, "was_created": True}] if kind == "doientry" else "10.25582/x"
        return {
            "cloudEventsVersion": "0.1",
            "eventType": f"org.pacifica.metadata.{kind}",
            "source": f"http://metadata.pacifica.org/transactions?_id={number}",
            "eventID": f"metadata.{kind}.{number}",
            "eventTime": "2026-11-22T17:30:00",
            "extensions": {},
            "contentType": "application/json",
            "data": data,
        }

    def _ingest(self, number: int) -> list[dict[str, Any]]:
        word = self._word
        items: list[dict[str, Any]] = [{"destinationTable": TABLES[0], "value": number}]
        items += [{"destinationTable": table, "value": self._chance.choice((number, word()))} for table in TABLES[1:]]
        for _ in range(self._chance.randint(0, 3)):
            items.append({"destinationTable": "TransactionKeyValue", "key": word(), "value": word()})
        for index in range(self._chance.randint(0, 4)):
            items.append({
                "destinationTable": "Files", "_id": index, "name": word(), "subdir": word(),
                "size": self._chance.choice((0, 1, 10, 10.0, 2**64)), "mimetype": word(), "hashtype": "sha1",
            })  # fmt: skip
        return items

    def _word(self) -> str:
        return self._chance.choice(WORDS)
