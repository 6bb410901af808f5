"""A private RabbitMQ."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

from ..ports import free_port
from ..process import Process, clean_environment
from .base import Server


class RabbitMQ(Server):
    """RabbitMQ with its own Erlang port mapper, cookie and node name, without plugins; guest may do all."""

    name = "RabbitMQ"
    # Debian's commands on the search path want root and write to the system's folders: these are behind them.
    programs = (("rabbitmq-server",), ("rabbitmqctl",), ("epmd",))
    places = ("usr/lib/rabbitmq/bin", "usr/lib/rabbitmq/lib/*/sbin")
    users = ("rabbitmq", "nobody")
    patience = 90

    def __init__(self, *, kept: bool = False) -> None:
        super().__init__(kept=kept)
        self._distribution_port = free_port()
        self._mapper_port = free_port()
        self._mapper: Process | None = None
        self._vhosts = itertools.count(1)

    @property
    def url(self) -> str:
        """The default virtual host; the only one that is there again after `wipe`."""
        return self._url("/")

    def create_vhost(self) -> str:
        """Make an empty virtual host and return its url; takes a second or two."""
        name = f"test_{next(self._vhosts)}"
        self._control(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).'
        )
        return self._url(name)

    def set_disk_limit(self, free: int) -> None:
        """Say how many bytes of its disk must be free; with fewer it takes nothing from who publishes."""
        self._control(f"rabbit_disk_monitor:set_disk_free_limit({free}).")

    def delete_vhost(self, url: str) -> None:
        """Delete a virtual host with its queues; its connections are closed."""
        self._run(["rabbitmqctl"], "-q", "delete_vhost", urlsplit(url).path[1:])

    def start(self) -> None:
        """Start the port mapper, then the broker."""
        self._mapper = self._mapper or Process(
            [self._program("epmd"), "-address", "127.0.0.1", "-port", str(self._mapper_port)],
            self.folder / "epmd.log",
            cwd=self.folder,
            env=clean_environment(self.folder),
            user=self._user(),
            kept=self._kept,
        )
        if not self._mapper.running:
            self._mapper.start()
        super().start()

    def stop(self) -> None:
        """Stop broker and port mapper."""
        super().stop()
        if self._mapper:
            self._mapper.kill()

    def kill(self) -> None:
        """Kill broker and port mapper."""
        super().kill()
        if self._mapper:
            self._mapper.kill()

    def close(self) -> None:
        """Leave nothing."""
        super().close()
        self._mapper = None

    def _url(self, vhost: str) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost}"

    def _make_data(self) -> None:
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}", "disk_free_limit.absolute = 1MB"]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "plugins").write_text("[].\n")

    def _command(self) -> list[str]:
        return [self._program("rabbitmq-server")]

    def _environment(self) -> dict[str, str]:
        local_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        return clean_environment(
            self.folder,
            ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_EPMD_PORT=str(self._mapper_port),
            ERL_FLAGS=local_only,
            RABBITMQ_NODENAME=f"test{self.port}@localhost",
            RABBITMQ_NODE_PORT=str(self.port),
            RABBITMQ_DIST_PORT=str(self._distribution_port),
            RABBITMQ_MNESIA_BASE=str(self._data),
            RABBITMQ_LOG_BASE=str(self.folder / "log"),
            RABBITMQ_PID_FILE=str(self.folder / "pid"),
            RABBITMQ_CONF_ENV_FILE=str(self.folder / "no-env"),
            RABBITMQ_CONFIG_FILE=str(self.folder / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(self.folder / "no-advanced.config"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "plugins"),
            RABBITMQ_GENERATED_CONFIG_DIR=str(self.folder / "generated"),
        )

    def _serves(self) -> bool:
        return self._greets(b"AMQP\x00\x00\x09\x01", b"\x01")

    def _control(self, expression: str) -> None:
        self._run(["rabbitmqctl"], "-q", "eval", expression)
