"""What the service sends: deliveries to the targets of subscriptions."""

from __future__ import annotations

from typing import Any

from ...globals import ATTEMPT_HEADER, DELIVERY_HEADER, EVENT_MEDIA_TYPES, REPLAY_HEADER
from . import examples
from .parts import sent

_NUMBER = {"type": "integer", "minimum": 1}
_HEADERS = (
    (DELIVERY_HEADER, True, "The id of the delivery, the same for all its attempts.", {"type": "string"}),
    (ATTEMPT_HEADER, True, "The number of the attempt.", _NUMBER),
    (REPLAY_HEADER, False, "On replays only: the number of the replay.", _NUMBER),
    ("Authorization", False, "What `auth` of the subscription says.", {"type": "string"}),
    ("traceparent", False, "Of an event that has a trace (W3C Trace Context).", {"type": "string"}),
)


def webhooks() -> dict[str, Any]:
    """Give the requests that a target gets."""
    parameters = [
        {"name": name, "in": "header", "required": required, "description": description, "schema": schema}
        for name, required, description, schema in _HEADERS
    ]
    retry = {"Retry-After": {"description": "When to come again.", "schema": {"type": "string"}}}
    return {
        "delivery": {
            "post": {
                "operationId": "deliver",
                "tags": ["Deliveries"],
                "summary": "An event that matches a subscription",
                "description": "Sent to `target_url`: the event as it arrived, or in the `content_mode` and"
                " `event_version` of the subscription; in binary mode its attributes are `ce-` headers and the body is"
                " its data. The same delivery may come again: `Notifications-Delivery` tells. Events whose type begins"
                " with `org.pacifica.notifications.` are the service's own, about the user's subscriptions.",
                "parameters": parameters,
                "requestBody": {
                    "required": True,
                    "content": sent("CloudEvent", examples.EVENTS | examples.OWN, *EVENT_MEDIA_TYPES),
                },
                "responses": {
                    "2XX": {"description": "It arrived."},
                    "410": {"description": "Never again: the subscription is disabled."},
                    "429": {"description": "Later; `Retry-After` is obeyed.", "headers": retry},
                    "503": {"description": "Later; `Retry-After` is obeyed.", "headers": retry},
                    "default": {"description": "A failure, a redirect too; it is tried again on a schedule."},
                },
            }
        }
    }
