"""What the attributes are called in each version of the specification."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidEvent


@dataclass(frozen=True, slots=True)
class Names:
    """The attributes that other versions call otherwise; None is what a version does not have."""

    version: str
    id: str = "id"
    type: str = "type"
    time: str = "time"
    schema: str = "schemaurl"
    content_type: str = "datacontenttype"
    subject: str | None = "subject"
    zone_required: bool = True

    @property
    def required(self) -> tuple[str, ...]:
        """Give those that every event has."""
        return self.version, self.type, "source", self.id


NAMES = {
    "0.1": Names("cloudEventsVersion", "eventID", "eventType", "eventTime", "schemaURL", "contentType", None, False),
    "0.2": Names("specversion", content_type="contenttype", subject=None),
    "0.3": Names("specversion"),
    "1.0": Names("specversion", schema="dataschema"),
}
#: The attributes of 0.1, whose names alone have capitals.
ATTRIBUTES_OF_0_1 = frozenset(
    ("cloudEventsVersion", "eventType", "eventTypeVersion", "source", "eventID", "eventTime", "schemaURL")
)
_TAKEN = {"specversion": ("1.0", "0.3", "0.2"), "cloudEventsVersion": ("0.1",)}
_SAID = "taken are specversion 1.0, 0.3 and 0.2, and cloudEventsVersion 0.1"


def version_of(value: Mapping[str, Any]) -> str:
    """Find which specification's names an event uses; raises ``InvalidEvent`` for one that is not taken, or none."""
    for name, taken in _TAKEN.items():
        if name in value:
            found = value[name]
            if found not in taken:
                raise InvalidEvent({f"/{name}": f"is {json.dumps(found)[:40]}; {_SAID}"})
            return str(found)
    if "eventType" in value or "eventID" in value:
        return "0.1"
    raise InvalidEvent(
        {"/specversion": 'is required and must be "1.0" (or cloudEventsVersion "0.1"): this is no CloudEvent'}
        | {f"/{name}": "is required" for name in ("type", "source", "id") if name not in value}
    )
