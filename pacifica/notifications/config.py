"""Settings: read once, checked at start, frozen."""

from __future__ import annotations

import configparser
import dataclasses
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import globals as names
from .errors import ConfigError, MissingDriver

Parser = Callable[[str], Any]
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@]*):(?:(?!://).)*@")
_PARAMETER_PASSWORD = re.compile(r"(?<=[?&])(passw(?:or)?d)=[^&]*", re.IGNORECASE)
#: Seconds of some thirty years: a time in the database can be that far away.
_LONGEST = 1e9


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _optional(text: str) -> str:
    return text


def _flag(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return text.lower() in _TRUE


def _number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Parser:
    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}") from None
        if not low <= value <= high:
            limit = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:.15g}"
            raise ValueError(f"must be {limit}")
        return value

    return parse


def _choice(*allowed: str) -> Parser:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def _seconds_list(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must be seconds separated by commas, such as 5,30,120") from None
    if any(not 0 <= value <= _LONGEST for value in values):
        raise ValueError(f"must hold delays from 0 to {_LONGEST:.15g}")
    return values


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _ranges(text: str) -> tuple[str, ...]:
    for part in _words(text):
        try:
            ipaddress.ip_network(part)
        except ValueError as error:
            raise ValueError(f"{part!r} is no address range such as 10.20.0.0/16 ({error})") from None
    return _words(text)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as http://localhost:8181")
    return text.rstrip("/")


def _optional_http_url(text: str) -> str:
    return _http_url(text) if text else ""


def _broker_url(text: str) -> str:
    if "://" not in text:
        raise ValueError("must be a URL such as memory://, amqp://user:password@host// or redis://host:6379/0")
    return text


def _database_url(text: str) -> str:
    """Read the names that older documentation uses as today's."""
    scheme, mark, rest = text.partition("://")
    scheme = {"sqliteext": "sqlite", "postgres": "postgresql"}.get(scheme.lower(), scheme.lower())
    if not mark or scheme not in ("sqlite", "postgresql", "mysql"):
        raise ValueError("must be a URL that starts with sqlite://, postgresql:// or mysql://")
    return f"{scheme}://{rest}"


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise ValueError("must be a header name of letters, digits and dashes")
    return text


def mask_url(text: str) -> str:
    """Put ``***`` in place of a URL's password, wherever it stands."""
    return _PARAMETER_PASSWORD.sub(rf"\1={names.MASK}", _URL_PASSWORD.sub(rf"\1:{names.MASK}@", text))


def setting(default: Any, parse: Parser, env: str | None = None) -> Any:
    """Declare one setting: its default, how its text is read, and its older environment name if it has one."""
    return field(default=default, metadata={"parse": parse, "env": env})


@dataclass(frozen=True, slots=True)
class Default:
    """Section ``DEFAULT``."""

    #: User of a request that carries no user header: only for requests that reach the embedded server
    #: from this machine and passed no proxy. Every other request without the header is answered 401.
    default_user: str = setting("default_user", _text, env="DEFAULT_USER")


@dataclass(frozen=True, slots=True)
class Celery:
    """Section ``celery``."""

    #: Where Celery sends wake-ups: ``memory://`` (no broker; the service routes and delivers itself) or any
    #: broker URL that Celery takes (``amqp://``, ``pyamqp://``, ``redis://``, …).
    broker_url: str = setting("memory://", _broker_url, env="BROKER_URL")
    #: Accepted so that older files work; results are never stored.
    backend_url: str = setting("", _optional, env="BACKEND_URL")


@dataclass(frozen=True, slots=True)
class Notifications:
    """Section ``notifications``."""

    #: Request header in which the proxy names the user.
    user_header: str = setting("Http-Remote-User", _header_name, env="USER_HEADER")
    #: Root of the policy server. Empty: nobody is asked. Not set at all: nobody with ``memory://``,
    #: ``http://localhost:8181`` with any other broker.
    policy_url: str | None = setting(None, _optional_http_url, env="POLICY_URL")
    #: Write times in answers without ``Z``, as release 0.5.2 did (but in UTC).
    naive_times: bool = setting(False, _flag)


@dataclass(frozen=True, slots=True)
class Database:
    """Section ``database``."""

    #: The database: ``sqlite:///PATH``, ``postgresql://USER:PASSWORD@HOST:PORT/NAME``, or for MariaDB ``mysql://`` with
    #: the same parts. ``sqliteext://`` and ``postgres://`` are read as the first two. Not set: SQLite in
    #: ``~/.pacifica-notifications/``.
    peewee_url: str = setting("", _database_url, env="PEEWEE_URL")
    #: How often the service and the commands try to reach the database before they give up.
    connect_attempts: int = setting(10, _number(int, 1), env="DATABASE_CONNECT_ATTEMPTS")
    #: Seconds between these attempts.
    connect_wait: float = setting(20.0, _number(float, 0, _LONGEST), env="DATABASE_CONNECT_WAIT")
    #: Connections that one process may hold; above the number of its request threads.
    max_connections: int = setting(40, _number(int, 4))
    #: Seconds for which one statement may be without an answer, at a database that is frozen as at one where another
    #: program holds a lock; then requests are answered 503, and workers try again. ``dbsync`` and ``eventpurge`` have
    #: no limit. A request takes up to twice as long: keep uWSGI's ``harakiri`` above that.
    timeout: float = setting(10.0, _number(float, 0.1, 3600))


@dataclass(frozen=True, slots=True)
class Receive:
    """Section ``receive``: what requests may bring."""

    #: Bytes that a request body may have; a larger one is answered 413.
    max_body: int = setting(1024 * 1024, _number(int, 1024))
    #: How deeply arrays and objects may be nested in a body.
    max_depth: int = setting(100, _number(int, 1, 300))
    #: Characters that the name of a subscription may have.
    max_name: int = setting(255, _number(int, 1, 255))
    #: What happens to an event whose source and id were accepted before with other content: ``accept`` (a row of
    #: its own, logged) or ``refuse`` (409).
    on_conflict: str = setting("accept", _choice("accept", "refuse"))
    #: Seconds that an event may wait to be stored; then the answer is 503, and sending it again is safe.
    timeout: float = setting(10.0, _number(float, 0.1, 3600))
    #: Events that may wait at once in one process to be stored; one more is answered 503 at once.
    queue: int = setting(1000, _number(int, 1, 1000000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """Section ``delivery``: how matches are sent."""

    #: Seconds before each further attempt, separated by commas; after the last one a delivery is ``dead``.
    #: Empty: no retry.
    retry_schedule: tuple[float, ...] = setting(
        (5.0, 30.0, 120.0, 600.0, 3600.0, 7200.0, 14400.0, 28800.0, 28800.0), _seconds_list
    )
    #: Share by which each of these delays is varied at random.
    jitter: float = setting(0.2, _number(float, 0, 0.9))
    #: Seconds that one attempt may take, by the clock.
    timeout: float = setting(30.0, _number(float, 0.1, 3600))
    #: Seconds that the connection to a target may take.
    connect_timeout: float = setting(5.0, _number(float, 0.1, 3600))
    #: Seconds during which the deliveries of a subscription must have failed without one success before it is
    #: disabled (and at least ten attempts). 0: disabled at the first failure, without a retry, as release 0.5.2.
    disable_after: float = setting(432000.0, _number(float, 0, _LONGEST))
    #: Keep the first 1 KiB of what targets answer with each attempt.
    keep_response: bool = setting(False, _flag)
    #: Attempts that one worker has in flight at once. Each may need a connection: the limit of open files of the
    #: worker (``ulimit -n``) has to be some 100 above twice this number.
    in_flight: int = setting(200, _number(int, 1, 1000))
    #: Deliveries that a worker claims at once.
    batch: int = setting(200, _number(int, 1, 1000))
    #: Seconds after which work that a vanished worker had claimed is taken over; a living one renews in time.
    lease: float = setting(15.0, _number(float, 1, 3600))
    #: File with the certificates of the authorities that targets on https are checked against (PEM).
    #: Empty: the authorities of the package ``certifi``.
    ca_file: str = setting("", _optional)
    #: Attempts that one worker has in flight to one target (scheme, host and port) at most. It begins with 4, takes
    #: more as long as the target answers quickly, and fewer when it does not.
    target_in_flight: int = setting(100, _number(int, 1, 1000))
    #: Deliveries to one target in a second, of all workers together. 0: as many as it takes.
    target_rate: float = setting(0.0, _number(float, 0, 1e6))
    #: Failures of a target in a row after which nothing is sent to it for a while: its name does not resolve, it
    #: refuses or breaks the connection, TLS fails, no answer in time, 429, 503. 0: never.
    breaker_failures: int = setting(5, _number(int, 0, 1000))
    #: Seconds for which a target is left alone at first; then one attempt looks whether it is back. Each time that it
    #: is not, it is left alone for twice as long.
    breaker_wait: float = setting(30.0, _number(float, 0.1, _LONGEST))
    #: Longest time in seconds for which a target is left alone.
    breaker_max_wait: float = setting(900.0, _number(float, 0.1, _LONGEST))
    #: Longest time in seconds for which a target that answers 429 or 503 may ask for no more (``Retry-After``).
    max_retry_after: float = setting(3600.0, _number(float, 0, _LONGEST))
    #: Bytes of an answer that are read at most; then its status counts and the connection ends.
    max_response: int = setting(64 * 1024, _number(int, 1024, 16 * 1024 * 1024))


@dataclass(frozen=True, slots=True)
class Policy:
    """Section ``policy``: asking the policy server."""

    #: Event types that the policy server is asked for, separated by commas; ``*`` stands for any characters.
    #: Other types go to everybody who may subscribe.
    types: tuple[str, ...] = setting(("*",), _words)
    #: Seconds that one answer of the policy server may take.
    timeout: float = setting(30.0, _number(float, 0.1, 3600))
    #: Seconds for which a policy server that fails is asked again; then the delivery is ``dead``.
    max_age: float = setting(604800.0, _number(float, 0, _LONGEST))
    #: Longest time in seconds between two of these questions.
    max_interval: float = setting(900.0, _number(float, 1, _LONGEST))


@dataclass(frozen=True, slots=True)
class Targets:
    """Section ``targets``: where deliveries may go."""

    #: Address ranges of targets, separated by commas. Checked for its form; this release refuses no address yet.
    allow: tuple[str, ...] = setting((), _ranges)


@dataclass(frozen=True, slots=True)
class Matching:
    """Section ``matching``: bounds for the expressions of subscribers."""

    #: Characters that a JSONPath may have.
    max_expression: int = setting(2048, _number(int, 16, 65536))
    #: How deeply brackets may be nested in a JSONPath.
    max_nesting: int = setting(32, _number(int, 1, 64))
    #: How often a JSONPath may descend at any depth (``..``).
    max_descents: int = setting(2, _number(int, 0, 10))
    #: Members that one union of a JSONPath (``[a,b]``) may have.
    max_union: int = setting(64, _number(int, 1, 1000))
    #: Alternatives that a JSONPath may have: how many expressions without ``or`` and without unions say the same.
    #: Equalities of one path that are joined by ``or`` count as one.
    max_alternatives: int = setting(256, _number(int, 1, 10000))
    #: Events that a worker claims for routing at once.
    batch: int = setting(50, _number(int, 1, 1000))


@dataclass(frozen=True, slots=True)
class Retention:
    """Section ``retention``: how long what is waiting waits, and what is over is kept."""

    #: Seconds for which deliveries of a disabled subscription are held before they are ``dead``.
    held: float = setting(2592000.0, _number(float, 0, _LONGEST))
    #: Seconds for which events are kept after they were accepted. 0: for ever. One that is not routed yet, or has a
    #: delivery, stays beyond that. The same event sent again after it was removed is a new one.
    events: float = setting(2592000.0, _number(float, 0, _LONGEST))
    #: Seconds for which deliveries are kept after they ended, as ``dead`` too; what is ``pending`` always stays.
    #: 0: for ever, and their events with them.
    deliveries: float = setting(2592000.0, _number(float, 0, _LONGEST))


@dataclass(frozen=True, slots=True)
class Auth:
    """Section ``auth``: who sees what."""

    #: Who sees the secrets of a subscription's ``auth`` after the request that set them: ``never`` or ``owner``.
    show: str = setting("never", _choice("never", "owner"))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force; ``sources`` says where each came from."""

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
    sources: Mapping[str, str] = field(default_factory=dict)

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
            "database.peewee_url": self.database_url,
        }
        for name, _section, spec in declared():
            section, _, key = name.partition(".")
            value = getattr(getattr(self, section.lower()), spec.name)
            yield name, effective.get(name, value), self.sources.get(f"{section}.{key}", "default")


def declared() -> Iterator[tuple[str, type, dataclasses.Field[Any]]]:
    """Give every setting that exists: its name ``section.key``, the class of its section, its field."""
    for section, kind in _sections().items():
        name = "DEFAULT" if section == "default" else section
        for spec in dataclasses.fields(kind):
            yield f"{name}.{spec.name}", kind, spec


def _sections() -> dict[str, Any]:
    """Give the class of each section by its name in ``Settings``."""
    kinds: dict[str, Any] = {part.name: part.default_factory for part in dataclasses.fields(Settings)}
    return {name: kind for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}


def environment_name(name: str, spec: dataclasses.Field[Any]) -> str:
    """Name the environment variable that gives a setting's default."""
    return str(spec.metadata["env"] or f"NOTIFICATIONS_{name.replace('.', '_')}".upper())


def load(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    override: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings: ``override`` beats the file, the file beats the environment, that beats the defaults.

    ``file`` must exist if it is given; without it the file of ``NOTIFICATIONS_CONFIG`` is read, which must exist
    if that is set, or else ``~/.pacifica-notifications/config.ini`` if there is one. Raises ``ConfigError`` that
    names all faults.
    """
    environ = os.environ if environ is None else environ
    path, written, faults = _read_file(file, environ)
    known = {name: (section, spec) for name, section, spec in declared()}
    for name in (name for name in written if name not in known):
        faults.append(f"{path}: {_place(name)}: {_unknown(name, known)}")
    chosen: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    for name, (_section, spec) in known.items():
        variable = environment_name(name, spec)
        if override and name in override:
            text, source, place = override[name], "command line", f"command line: {name}"
        elif name in written:
            text, source, place = written[name], f"file {path}", f"{path}: {_place(name)}"
        elif variable in environ:
            text, source, place = environ[variable], f"environment {variable}", f"environment: {variable}"
        else:
            continue
        try:
            value = spec.metadata["parse"](text.strip())
        except ValueError as error:
            faults.append(f"{place}: {error}")
            continue
        chosen.setdefault(name.partition(".")[0].lower(), {})[spec.name] = value
        sources[name] = source
    faults.extend(_unknown_variables(environ, known))
    if faults:
        raise ConfigError("\n".join(faults))
    sections = {section: kind(**chosen.get(section, {})) for section, kind in _sections().items()}
    return Settings(**sections, sources=sources)


def _read_file(
    file: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> tuple[str, dict[str, str], list[str]]:
    """Read the INI file into ``section.key`` to text, with what is wrong with the file as such."""
    chosen = str(file) if file else environ.get("NOTIFICATIONS_CONFIG")
    path = Path(chosen) if chosen else names.HOME / "config.ini"
    if not path.is_file():
        return str(path), {}, [f"{path}: there is no such file"] if chosen else []
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        # Some editors begin a file with a byte order mark.
        parser.read(path, encoding="utf-8-sig")
    except configparser.Error as error:
        return str(path), {}, [f"{path}: {' '.join(str(error).split())}"]
    except UnicodeDecodeError:
        return str(path), {}, [f"{path}: must be UTF-8 text"]
    return str(path), {f"{s}.{k}": v or "" for s in parser.sections() for k, v in parser[s].items()}, []


def _place(name: str) -> str:
    section, _, key = name.partition(".")
    return f"[{section}] {key}"


def _unknown(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Say what is wrong with a name that is no setting, and where the same key would stand."""
    section, _, key = name.partition(".")
    elsewhere = [other for other in known if other.partition(".")[2] == key]
    if elsewhere:
        return f"is no setting here; did you mean {_place(elsewhere[0])}?"
    if not any(other.startswith(f"{section}.") for other in known):
        return "is in a section that has no settings"
    return "is no setting"


def _unknown_variables(environ: Mapping[str, str], known: Mapping[str, Any]) -> list[str]:
    """Find misspelt variables of ours: those that start with one of our sections and name no setting."""
    names_known = {environment_name(name, spec) for name, (_section, spec) in known.items()}
    prefixes = tuple({f"NOTIFICATIONS_{name.partition('.')[0].upper()}_" for name in known})
    return [
        f"environment: {variable}: is no setting"
        for variable in sorted(environ)
        if variable.startswith(prefixes) and variable not in names_known
    ]


def require_driver(module: str, extra: str, name: str) -> None:
    """Raise ``MissingDriver`` unless the package that a setting needs, and that an extra brings, is installed.

    It is only looked for: a driver that not everybody needs at once takes a sixth of the time of a start to import.
    """
    if find_spec(module) is None:
        raise MissingDriver(
            f"{name} needs a driver that is not installed: pip install 'pacifica-notifications[{extra}]'"
        )


_in_force: Settings | None = None


def use(settings: Settings) -> Settings:
    """Make these the settings of the process; what runs as a service or a command does it once, at its start."""
    global _in_force
    _in_force = settings
    return settings


def get_config() -> Settings:
    """Give the settings of the process; where nobody called ``use``, read them anew.

    Raises ``ConfigError`` that names all faults.
    """
    return _in_force or load()
