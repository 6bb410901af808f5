"""The yardstick: a CherryPy handler that inserts each event with peewee and publishes a message for it with Celery.

`DATABASE` is the url of a PostgreSQL database, `BROKER` that of a RabbitMQ; `application` is for a WSGI server.
"""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import uuid4

import cherrypy
import peewee
from celery import Celery
from playhouse.db_url import connect

DATABASE = connect(os.environ["DATABASE"].replace("postgresql://", "postgresql+pool://") + "?max_connections=40")
CELERY = Celery("plain", broker=os.environ["BROKER"])
CELERY.conf.update(task_ignore_result=True, broker_transport_options={"confirm_publish": True})


@CELERY.task(name="plain.deliver")  # type: ignore[untyped-decorator]
def deliver(uuid: str) -> None:
    """Stand for what would be done."""


class Event(peewee.Model):
    """An event."""

    uuid = peewee.UUIDField(primary_key=True, default=uuid4)
    jsondata = peewee.TextField()

    class Meta:
        """One database."""

        database = DATABASE


class Receive:
    """`/receive`."""

    exposed = True

    def POST(self) -> bytes:
        """Insert and publish."""
        text = cherrypy.request.body.read().decode()
        json.loads(text)
        with DATABASE.connection_context():
            row = Event.create(jsondata=text)
        deliver.apply_async((str(row.uuid),), queue="plain")
        return json.dumps({"uuid": str(row.uuid)}).encode()


class Root:
    """The application."""

    receive = Receive()


CONFIG: dict[str, dict[str, Any]] = {"/": {"request.dispatch": cherrypy.dispatch.MethodDispatcher()}}

with DATABASE.connection_context():
    DATABASE.create_tables([Event], safe=True)
DATABASE.close_all()
cherrypy.config.update({"environment": "embedded"})
application = cherrypy.tree.mount(Root(), "/", CONFIG)
