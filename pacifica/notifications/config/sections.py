"""All settings: what each is for, its default, how it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import globals as names
from ..sealing import Key
from ..signing.keys import SigningKey
from .values import (
    LONGEST,
    Parser,
    Secret,
    broker_url,
    choice,
    database_url,
    filled,
    flag,
    header_name,
    is_loopback,
    number,
    optional,
    optional_http_url,
    ports,
    ranges,
    role_names,
    sealing_keys,
    seconds_list,
    secret,
    signing_keys,
    words,
)


def setting(default: Any, parse: Parser, env: str | None = None) -> Any:
    """Declare one setting: its default, how its text is read, and its older environment name if it has one."""
    return field(default=default, metadata={"parse": parse, "env": env})


@dataclass(frozen=True, slots=True)
class Default:
    """Section ``DEFAULT``."""

    #: User of a request that carries no user header: only for requests that reach the embedded server
    #: from this machine and passed no proxy. Every other request without the header is answered 401.
    default_user: str = setting("default_user", filled, env="DEFAULT_USER")


@dataclass(frozen=True, slots=True)
class Celery:
    """Section ``celery``."""

    #: Where Celery sends wake-ups: ``memory://`` (no broker; the service routes and delivers itself) or any
    #: broker URL that Celery takes (``amqp://``, ``pyamqp://``, ``redis://``, …).
    broker_url: str = setting("memory://", broker_url, env="BROKER_URL")
    #: Accepted so that older files work; results are never stored.
    backend_url: str = setting("", optional, env="BACKEND_URL")


@dataclass(frozen=True, slots=True)
class Notifications:
    """Section ``notifications``."""

    #: Request header in which the proxy names the user.
    user_header: str = setting("Http-Remote-User", header_name, env="USER_HEADER")
    #: Root of the policy server. Empty: nobody is asked. Not set at all: nobody with ``memory://``,
    #: ``http://localhost:8181`` with any other broker.
    policy_url: str | None = setting(None, optional_http_url, env="POLICY_URL")
    #: Write times in answers without ``Z``, as release 0.5.2 did (but in UTC).
    naive_times: bool = setting(False, flag)
    #: Describe the API at ``/openapi.json``, and on a page to try it out at ``/docs``. ``false`` takes both away.
    api_docs: bool = setting(True, flag)


@dataclass(frozen=True, slots=True)
class Database:
    """Section ``database``."""

    #: The database: ``sqlite:///PATH``, ``postgresql://USER:PASSWORD@HOST:PORT/NAME``, or for MariaDB ``mysql://`` with
    #: the same parts. ``sqliteext://`` and ``postgres://`` are read as the first two. Not set: SQLite in
    #: ``~/.pacifica-notifications/``.
    peewee_url: str = setting("", database_url, env="PEEWEE_URL")
    #: How often the service and the commands try to reach the database before they give up.
    connect_attempts: int = setting(10, number(int, 1), env="DATABASE_CONNECT_ATTEMPTS")
    #: Seconds between these attempts.
    connect_wait: float = setting(20.0, number(float, 0, LONGEST), env="DATABASE_CONNECT_WAIT")
    #: Connections that one process may hold; above the number of its request threads.
    max_connections: int = setting(40, number(int, 4))
    #: Seconds for which one statement may be without an answer, at a database that is frozen as at one where another
    #: program holds a lock; then requests are answered 503, and workers try again. ``dbsync`` and ``eventpurge`` have
    #: no limit. A request takes up to twice as long: keep uWSGI's ``harakiri`` above that.
    timeout: float = setting(10.0, number(float, 0.1, 3600))


@dataclass(frozen=True, slots=True)
class Receive:
    """Section ``receive``: what requests may bring."""

    #: Bytes that a request body may have; a larger one is answered 413.
    max_body: int = setting(1024 * 1024, number(int, 1024))
    #: How deeply arrays and objects may be nested in a body.
    max_depth: int = setting(100, number(int, 1, 300))
    #: Characters that the name of a subscription may have.
    max_name: int = setting(255, number(int, 1, 255))
    #: What happens to an event whose source and id were accepted before with other content: ``accept`` (a row of
    #: its own, logged) or ``refuse`` (409).
    on_conflict: str = setting("accept", choice("accept", "refuse"))
    #: Seconds that an event may wait to be stored; then the answer is 503, and sending it again is safe.
    timeout: float = setting(10.0, number(float, 0.1, 3600))
    #: Events that may wait at once in one process to be stored; one more is answered 503 at once.
    queue: int = setting(1000, number(int, 1, 1000000))
    #: Events that one batch may have; a larger one is answered 413. Together they may have ``max_body`` bytes.
    max_batch: int = setting(100, number(int, 1, 1000))
    #: Who is asked for an identity before events are taken: ``none`` (nobody: who can reach the service may send)
    #: or ``any`` (everybody; the role must be ``producer`` or ``admin``).
    auth: str = setting("none", choice("none", "any"))
    #: Senders that ``OPTIONS /receive`` says may send: the names in their ``WebHook-Request-Origin``, separated by
    #: commas. ``*``: any. Empty: none is told so, and events are taken from whoever sends them all the same.
    webhook_origins: tuple[str, ...] = setting(("*",), words)
    #: Events in a minute that ``OPTIONS /receive`` tells a sender to keep to. 0: as many as it likes.
    webhook_rate: int = setting(0, number(int, 0, 1000000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """Section ``delivery``: how matches are sent."""

    #: Seconds before each further attempt, separated by commas; after the last one a delivery is ``dead``.
    #: Empty: no retry.
    retry_schedule: tuple[float, ...] = setting(
        (5.0, 30.0, 120.0, 600.0, 3600.0, 7200.0, 14400.0, 28800.0, 28800.0), seconds_list
    )
    #: Share by which each of these delays is varied at random.
    jitter: float = setting(0.2, number(float, 0, 0.9))
    #: Seconds that one attempt may take, by the clock.
    timeout: float = setting(30.0, number(float, 0.1, 3600))
    #: Seconds that the connection to a target may take.
    connect_timeout: float = setting(5.0, number(float, 0.1, 3600))
    #: Seconds during which the deliveries of a subscription must have failed without one success before it is
    #: disabled (and at least ten attempts). 0: disabled at the first failure, without a retry, as release 0.5.2.
    disable_after: float = setting(432000.0, number(float, 0, LONGEST))
    #: Keep the first 1 KiB of what targets answer with each attempt.
    keep_response: bool = setting(False, flag)
    #: Attempts that one worker has in flight at once. Each may need a connection: the limit of open files of the
    #: worker (``ulimit -n``) has to be some 100 above twice this number.
    in_flight: int = setting(200, number(int, 1, 1000))
    #: Deliveries that a worker claims at once.
    batch: int = setting(200, number(int, 1, 1000))
    #: Seconds after which work that a vanished worker had claimed is taken over; a living one renews in time.
    lease: float = setting(15.0, number(float, 1, 3600))
    #: File with the certificates of the authorities that targets on https are checked against (PEM).
    #: Empty: the authorities of the package ``certifi``.
    ca_file: str = setting("", optional)
    #: Attempts that one worker has in flight to one target (scheme, host and port) at most. It begins with 4, takes
    #: more as long as the target answers quickly, and fewer when it does not.
    target_in_flight: int = setting(100, number(int, 1, 1000))
    #: Deliveries to one target in a second, of all workers together. 0: as many as it takes.
    target_rate: float = setting(0.0, number(float, 0, 1e6))
    #: Failures of a target in a row after which nothing is sent to it for a while: its name does not resolve, it
    #: refuses or breaks the connection, TLS fails, no answer in time, 429, 503. 0: never.
    breaker_failures: int = setting(5, number(int, 0, 1000))
    #: Seconds for which a target is left alone at first; then one attempt looks whether it is back. Each time that it
    #: is not, it is left alone for twice as long.
    breaker_wait: float = setting(30.0, number(float, 0.1, LONGEST))
    #: Longest time in seconds for which a target is left alone.
    breaker_max_wait: float = setting(900.0, number(float, 0.1, LONGEST))
    #: Longest time in seconds for which a target that answers 429 or 503 may ask for no more (``Retry-After``).
    max_retry_after: float = setting(3600.0, number(float, 0, LONGEST))
    #: Bytes of an answer that are read at most; then its status counts and the connection ends.
    max_response: int = setting(64 * 1024, number(int, 1024, 16 * 1024 * 1024))


@dataclass(frozen=True, slots=True)
class Policy:
    """Section ``policy``: asking the policy server."""

    #: Event types that the policy server is asked for, separated by commas; ``*`` stands for any characters.
    #: Other types go to everybody who may subscribe.
    types: tuple[str, ...] = setting(("*",), words)
    #: Seconds that one answer of the policy server may take.
    timeout: float = setting(30.0, number(float, 0.1, 3600))
    #: Seconds for which a policy server that fails is asked again; then the delivery is ``dead``.
    max_age: float = setting(604800.0, number(float, 0, LONGEST))
    #: Longest time in seconds between two of these questions.
    max_interval: float = setting(900.0, number(float, 1, LONGEST))


@dataclass(frozen=True, slots=True)
class Targets:
    """Section ``targets``: where deliveries may go."""

    #: Where targets may live: ``public`` (public addresses), ``facility`` (these, and your own networks, which
    #: ``allow`` has to name) or ``local`` (loopback and private addresses too). Not set: ``local`` where the service is
    #: started on loopback with ``memory://``, else ``public``. In each of them ``allow`` opens more, ``deny`` less.
    profile: str | None = setting(None, choice("public", "facility", "local"))
    #: Address ranges that are allowed, separated by commas. Addresses of cloud metadata and of the service's own
    #: database, broker and policy server must be named one by one, as in ``169.254.169.254/32``.
    allow: tuple[str, ...] = setting((), ranges)
    #: Address ranges that are not allowed, separated by commas; they win over ``allow``.
    deny: tuple[str, ...] = setting((), ranges)
    #: Ports that targets may have, and ranges of ports, separated by commas.
    ports: tuple[str, ...] = setting(("80", "443", "1024-65535"), ports)
    #: Take targets on ``https`` alone.
    require_https: bool = setting(False, flag)


@dataclass(frozen=True, slots=True)
class Matching:
    """Section ``matching``: bounds for the expressions of subscribers."""

    #: Characters that a JSONPath may have.
    max_expression: int = setting(2048, number(int, 16, 65536))
    #: How deeply brackets may be nested in a JSONPath.
    max_nesting: int = setting(32, number(int, 1, 64))
    #: How often a JSONPath may descend at any depth (``..``).
    max_descents: int = setting(2, number(int, 0, 10))
    #: Members that one union of a JSONPath (``[a,b]``) may have.
    max_union: int = setting(64, number(int, 1, 1000))
    #: Alternatives that a JSONPath may have: how many expressions without ``or`` and without unions say the same.
    #: Equalities of one path that are joined by ``or`` count as one.
    max_alternatives: int = setting(256, number(int, 1, 10000))
    #: Events that a worker claims for routing at once.
    batch: int = setting(50, number(int, 1, 1000))


@dataclass(frozen=True, slots=True)
class Retention:
    """Section ``retention``: how long what is waiting waits, and what is over is kept."""

    #: Seconds for which deliveries of a disabled subscription are held before they are ``dead``.
    held: float = setting(2592000.0, number(float, 0, LONGEST))
    #: Seconds for which events are kept after they were accepted. 0: for ever. One that is not routed yet, or has a
    #: delivery, stays beyond that. The same event sent again after it was removed is a new one.
    events: float = setting(2592000.0, number(float, 0, LONGEST))
    #: Seconds for which deliveries are kept after they ended, as ``dead`` too; what is ``pending`` always stays.
    #: 0: for ever, and their events with them.
    deliveries: float = setting(2592000.0, number(float, 0, LONGEST))


@dataclass(frozen=True, slots=True)
class Auth:
    """Section ``auth``: who is believed to be whom, and who sees what."""

    #: Who sees the secrets of a subscription after the request that set them: ``never`` or ``owner``.
    show: str = setting("never", choice("never", "owner"))
    #: Addresses and ranges of the proxies whose user header the embedded server believes, separated by commas; what
    #: counts is who is at the other end of the connection. Under uWSGI this says nothing: there the header is believed
    #: from a unix socket, or with ``proxy_secret``.
    trusted_proxies: tuple[str, ...] = setting(("127.0.0.0/8", "::1"), ranges)
    #: Secret that the proxy must send in the header ``Notifications-Proxy-Secret`` for its user header to be believed:
    #: 32 or more visible ASCII characters, random. Not set: none is asked for.
    proxy_secret: Secret = setting(Secret(), secret)  # noqa: RUF009 - it is frozen
    #: Users that may send events beside what every user may, separated by commas; ``*``: all. It matters with
    #: ``receive.auth = any``. A token has its own role instead.
    producers: tuple[str, ...] = setting((), words)
    #: Users that may read everybody's subscriptions.
    managers: tuple[str, ...] = setting((), words)
    #: Users that may read and change everybody's subscriptions, and send events.
    admins: tuple[str, ...] = setting((), words)
    #: Further names of roles, for tokens and logins, each as ``NAME=ROLE`` with one of ``producer``, ``user``,
    #: ``manager`` and ``admin``, separated by commas: ``operators=admin, staff=user``.
    roles: tuple[tuple[str, str], ...] = setting((), role_names)
    #: Who says who may log in at ``/auth/login``: ``none`` (nobody can), ``htpasswd`` (``htpasswd_file``), or the name
    #: of an entry point of a package of yours.
    login: str = setting("none", filled)
    #: Module of a login of your own, with ``class``, instead of ``login``.
    module: str = setting("", optional)
    #: Class in that module: a subclass of ``pacifica.notifications.login.Login``.
    class_: str = setting("", optional)
    #: File with users and passwords, made by ``htpasswd -B``.
    htpasswd_file: str = setting("", optional)
    #: How tokens of logins are signed: ``HS256``, ``HS384`` or ``HS512``; those that are signed otherwise are refused.
    jwt_algorithm: str = setting("HS256", choice("HS256", "HS384", "HS512"))
    #: Key of these tokens, the same in every process: as many random characters as the algorithm needs (32, 48, 64).
    #: Better in ``jwt_key_file``.
    jwt_key: Secret = setting(Secret(), secret)  # noqa: RUF009 - it is frozen
    #: File with that key instead.
    jwt_key_file: str = setting("", optional)
    #: Seconds for which a token of a login is of use.
    jwt_lifetime: float = setting(28800.0, number(float, 60, LONGEST))
    #: Logins of one user that may fail within ``login_window``, in each process; one more is answered 429. From one
    #: address ten times as many may.
    login_failures: int = setting(10, number(int, 1, 1000))
    #: Seconds for which a login that failed counts.
    login_window: float = setting(300.0, number(float, 1, LONGEST))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Section ``secrets``: the keys with which secrets of subscriptions are sealed in the database.

    Where nothing of this is set, service and workers on SQLite make a key at their first start, in a file beside the
    database, and those on another database do not start.
    """

    #: Keys as ``ID:BASE64``, separated by commas: the first one seals, all of them open. Better in ``key_file``.
    keys: tuple[Key, ...] = setting((), sealing_keys)
    #: File with the keys instead, one on each line, made by ``pacifica-notifications-cmd create-key FILE``; the same on
    #: every machine.
    key_file: str = setting("", optional)
    #: Store secrets in clear where no key is set, for development; warned about at every start.
    plaintext: bool = setting(False, flag)


@dataclass(frozen=True, slots=True)
class Signing:
    """Section ``signing``: the keys with which the service itself signs what it delivers, where a subscription asks.

    Where nothing of this is set, service and workers on SQLite make a key at their first start, in a file beside the
    database; on another database no subscription can ask.
    """

    #: Keys as ``ID:whsk_BASE64``, separated by commas: each of them signs. Better in ``key_file``.
    keys: tuple[SigningKey, ...] = setting((), signing_keys)
    #: File with the keys instead, one on each line, made by ``pacifica-notifications-cmd create-key --signing FILE``;
    #: the same on every machine.
    key_file: str = setting("", optional)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force; ``sources`` says where each came from, ``listens`` is where this process serves."""

    default: Default = field(default_factory=Default)
    celery: Celery = field(default_factory=Celery)
    notifications: Notifications = field(default_factory=Notifications)
    database: Database = field(default_factory=Database)
    receive: Receive = field(default_factory=Receive)
    delivery: Delivery = field(default_factory=Delivery)
    policy: Policy = field(default_factory=Policy)
    targets: Targets = field(default_factory=Targets)
    matching: Matching = field(default_factory=Matching)
    retention: Retention = field(default_factory=Retention)
    auth: Auth = field(default_factory=Auth)
    secrets: Secrets = field(default_factory=Secrets)
    signing: Signing = field(default_factory=Signing)
    sources: Mapping[str, str] = field(default_factory=dict)
    listens: tuple[str, int] | None = None

    @property
    def profile(self) -> str:
        """The profile of targets in force: by itself ``local`` for one process that serves its own machine alone."""
        if self.targets.profile is not None:
            return self.targets.profile
        on_loopback = self.listens is not None and is_loopback(self.listens[0])
        return "local" if self.embedded and on_loopback else "public"

    @property
    def embedded(self) -> bool:
        """Whether the service itself routes and delivers, because no broker is set."""
        return self.celery.broker_url.startswith("memory:")

    @property
    def policy_url(self) -> str:
        """The policy server's root, or the empty text where nobody is asked."""
        if self.notifications.policy_url is not None:
            return self.notifications.policy_url
        return "" if self.embedded else "http://localhost:8181"

    @property
    def database_url(self) -> str:
        """The database's URL."""
        return self.database.peewee_url or f"sqlite:///{names.HOME / 'notifications.sqlite3'}"

    def get(self, section: str, option: str, **_: Any) -> Any:
        """Look one value up by its names in the file, as scripts written for a ``ConfigParser`` do.

        Raises ``KeyError`` for a name that is not documented.
        """
        for name, value, _source in self.rows():
            if name == f"{section}.{option}":
                return value
        raise KeyError(f"{section}.{option}")

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Give every setting as its name ``section.key``, its value in force and where it came from."""
        effective = {
            "notifications.policy_url": self.policy_url,
            "targets.profile": self.profile,
            "database.peewee_url": self.database_url,
        }
        for name, _section, spec in declared():
            section, _, key = name.partition(".")
            value = getattr(getattr(self, section.lower()), spec.name)
            yield name, effective.get(name, value), self.sources.get(f"{section}.{key}", "default")


def declared() -> Iterator[tuple[str, type, dataclasses.Field[Any]]]:
    """Give every setting that exists: its name ``section.key``, the class of its section, its field."""
    for section, kind in sections().items():
        name = "DEFAULT" if section == "default" else section
        for spec in dataclasses.fields(kind):
            # The name of a setting may be a word of Python's, as `class` is.
            yield f"{name}.{spec.name.removesuffix('_')}", kind, spec


def sections() -> dict[str, Any]:
    """Give the class of each section by its name in ``Settings``."""
    kinds: dict[str, Any] = {part.name: part.default_factory for part in dataclasses.fields(Settings)}
    return {name: kind for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}
