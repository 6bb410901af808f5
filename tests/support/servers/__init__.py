"""Private database servers, brokers and a proxy: each in a temporary folder, on a free port of 127.0.0.1.

When root runs the tests they run as an ordinary user. No service manager and no server of the system takes
part.
"""

from __future__ import annotations

from .base import Server
from .mariadb import MariaDB
from .nginx import Nginx
from .postgresql import PostgreSQL
from .rabbitmq import RabbitMQ
from .redis import Redis

__all__ = ["MariaDB", "Nginx", "PostgreSQL", "RabbitMQ", "Redis", "Server"]
