"""The command line of ``pacifica-notifications-cmd``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from uuid import UUID

from .. import orm
from ..config import Settings, load, use
from ..errors import NotificationsError
from ..globals import CONFIG_FILE, VERSION
from ..retry import State
from .database import dbchk, dbsync
from .deliveries import deliveries_list, deliveries_retry
from .events import eventget, eventpurge
from .keys import create_key, rotate_keys
from .match import match
from .output import complain
from .receiver import receiver
from .retry import eventretry
from .settings import config, serving
from .targets import check_target
from .tokens import token_create, token_list, token_revoke

_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def run(*argv: str) -> int:
    """Run one command; 0 for true, -1 for false or for what is wrong with the settings or the database."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        # What is wrong with the keys that are set must not keep anybody from making one.
        settings = use(serving(load(options.config))) if options.settings else Settings()
        if options.database:
            orm.initialize(settings)
            orm.wait_until_up(settings)
            if options.tables:
                with orm.session():
                    orm.require_schema()
        return 0 if options.command(options, settings) else -1
    except (NotificationsError, orm.DatabaseError, ValueError) as error:
        complain(str(error))
        return -1


def make_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = argparse.ArgumentParser(
        prog="pacifica-notifications-cmd", description="Looks after the database of Pacifica Notifications."
    )
    parser.add_argument("-c", "--config", metavar="CONFIG", help=f"file with the settings (default {CONFIG_FILE})")
    parser.add_argument("--version", action="version", version=VERSION)
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="CMD")

    sync = _add(commands, "dbsync", dbsync, tables=False)
    sync.description = f"{sync.description} Does nothing where they are current."
    sync.add_argument(
        "--timezone",
        metavar="ZONE",
        help="zone of the times in the tables of a release before 1.0, such as Europe/Berlin (default the machine's)",
    )
    sync.add_argument(
        "--differences",
        action="store_true",
        help="name the subscriptions that behave differently from before 1.0",
    )
    check = _add(commands, "dbchk", dbchk, tables=False)
    check.add_argument("--equal", action="store_true", help="false unless the schema is exactly this release's")

    made = _add(commands, "create-key", create_key, database=False)
    made.set_defaults(settings=False)
    made.add_argument("file", nargs="?", metavar="FILE", help="file to add it to, or to make; default: it is printed")
    made.add_argument("--signing", action="store_true", help="one to sign deliveries with, not to seal secrets")
    made.add_argument("--id", help="its id (default the day, and four random digits)")
    _add(commands, "rotate-keys", rotate_keys)

    given = commands.add_parser("token", help="Makes, lists and revokes the tokens of callers.")
    giving = given.add_subparsers(title="commands", metavar="CMD", required=True)
    fresh = _add(giving, "create", token_create)
    fresh.add_argument("name", metavar="NAME", help="its name, which no other has")
    fresh.add_argument("--user", required=True, help="who its bearer is")
    fresh.add_argument("--role", required=True, help="producer, user, manager, admin, or a name of auth.roles")
    fresh.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="PREFIX",
        help="of a producer: the source of its events begins so; may be given several times",
    )
    fresh.add_argument(
        "--type",
        action="append",
        default=[],
        metavar="PREFIX",
        help="of a producer: the type of its events begins so; may be given several times",
    )
    fresh.add_argument("--days", type=_days, default=365, help="after which it expires (default 365; 0: never)")
    _add(giving, "list", token_list)
    gone = _add(giving, "revoke", token_revoke)
    gone.add_argument("name", metavar="NAME", help="the name of the token")

    get = _add(commands, "eventget", eventget)
    _add_events(get, "default: those of the last 24 hours")
    get.add_argument("--limit", type=_count, default=10, help="events at most (default 10)")
    get.add_argument("--start-date", metavar="DATE", help="accepted from this time on, in UTC (default 24 hours ago)")
    get.add_argument("--end-date", metavar="DATE", help="accepted until this time, in UTC (default now)")

    purge = _add(commands, "eventpurge", eventpurge)
    _add_events(purge, "default: those older than a date")
    purge.add_argument("--older-than-date", metavar="DATE", help="in UTC (default 24 hours ago)")
    purge.add_argument("--force", action="store_true", help="remove what is not finished too")

    again = _add(commands, "eventretry", eventretry)
    again.add_argument("uuid", nargs="+", type=_uuid, metavar="UUID", help="uuids of events")
    again.add_argument("--all", action="store_true", help="send again what was delivered too")

    kept = commands.add_parser("deliveries", help="Lists deliveries, or sends dead ones again.")
    doing = kept.add_subparsers(title="commands", metavar="CMD", required=True)
    shown = _add(doing, "list", deliveries_list)
    _add_deliveries(shown, "default: dead ones, whichever they are")
    shown.add_argument(
        "--state",
        action="append",
        type=State,
        choices=list(State),
        help="in this state; may be given several times (default dead)",
    )
    shown.add_argument("--limit", type=_count, default=50, help="deliveries at most (default 50)")
    resend = _add(doing, "retry", deliveries_retry)
    _add_deliveries(resend, "default: none, unless a filter or --all is given")
    resend.add_argument("--all", action="store_true", help="all dead deliveries there are")
    resend.add_argument("--yes", action="store_true", help="do not ask")
    resend.add_argument("--wait", action="store_true", help="wait for the outcomes, and report each")

    tried = _add(commands, "match", match, database=False)
    tried.add_argument("jsonpath", metavar="JSONPATH", help="the expression, as a subscription has it")
    tried.add_argument(
        "file",
        nargs="*",
        metavar="FILE",
        help="one event as JSON, an array of events, or an event on each line; - is standard input (default)",
    )
    # It is the one thing here that needs the database.
    tried.add_argument("--log", action="store_true", dest="database", help="try it on the events that are stored")
    tried.add_argument("--limit", type=_count, default=10, help="events of the log at most, newest first (default 10)")
    tried.add_argument(
        "--event",
        action="append",
        type=_uuid,
        default=[],
        metavar="UUID",
        help="this event of the log; may be given several times",
    )
    tried.add_argument("--results", type=_count, default=5, help="results that are shown (default 5)")
    tried.add_argument("--bench", action="store_true", help="time it instead, in microseconds for each event")
    tried.add_argument(
        "--oracle", action="store_true", help="hold it against jsonpath2; true if that decides the same on every event"
    )

    _add(commands, "config", config, database=False)

    checked = _add(commands, "check-target", check_target, database=False)
    checked.add_argument("url", metavar="URL", help="as the target_url of a subscription")

    listen = _add(commands, "receiver", receiver, database=False)
    listen.add_argument("--address", default="127.0.0.1", help="where to listen (default 127.0.0.1)")
    listen.add_argument("--port", type=_port, default=8080, help="default 8080; 0 takes any free one")
    listen.add_argument("--status", type=_status, default=200, help="status of every answer (default 200)")
    listen.add_argument("--delay", type=_seconds, default=0.0, metavar="SECONDS", help="time before every answer")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace, Settings], bool],
    database: bool = True,
    tables: bool = True,
) -> argparse.ArgumentParser:
    """Add a command that is described by its function; say whether it needs the database, and our tables in it."""
    text = (command.__doc__ or "").partition("\n")[0].replace("``", "")
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=command, database=database, tables=tables, settings=True)
    return parser


def _add_events(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("uuid", nargs="*", type=_uuid, metavar="UUID", help=f"uuids of events; {default}")
    _add_date_format(parser)


def _add_deliveries(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("uuid", nargs="*", type=_uuid, metavar="UUID", help=f"uuids of deliveries; {default}")
    parser.add_argument("--user", help="of subscriptions of this user")
    parser.add_argument("--subscription", type=_uuid, metavar="UUID", help="of this subscription")
    parser.add_argument("--event", type=_uuid, metavar="UUID", help="of this event")
    parser.add_argument("--target", metavar="PREFIX", help="whose target_url begins so")
    parser.add_argument("--status", type=_answer, metavar="CODE", help="whose target answered this last")
    parser.add_argument("--reason", metavar="TEXT", help="whose reason contains this, in letters of any case")
    parser.add_argument("--since", metavar="DATE", help="ended from this time on, in UTC")
    parser.add_argument("--until", metavar="DATE", help="ended until this time, in UTC")
    _add_date_format(parser)


def _add_date_format(parser: argparse.ArgumentParser) -> None:
    shown = _DATE_FORMAT.replace("%", "%%")
    parser.add_argument("--date-format", default=_DATE_FORMAT, help=f"form of dates (default {shown})")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no uuid") from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} must be days from 0 to 36500")
    return days


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds from 0 to 3600")
    return seconds


def _answer(text: str) -> int:
    if not text.isdigit() or not 100 <= int(text) <= 999:
        raise argparse.ArgumentTypeError(f"{text!r} is no status from 100 to 999")
    return int(text)


def _status(text: str) -> int:
    if not text.isdigit() or not 200 <= int(text) <= 599:
        raise argparse.ArgumentTypeError(f"{text!r} must be a status from 200 to 599")
    return int(text)
