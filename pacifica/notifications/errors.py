"""The one tree of errors; the class says what the caller should do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class NotificationsError(Exception):
    """Anything that this package raises on purpose."""


class Refused(NotificationsError):
    """The caller made a mistake and must change the request; ``faults`` maps a JSON pointer to a sentence."""

    def __init__(self, faults: Mapping[str, str] | str) -> None:
        """Take one sentence about the whole request, or one sentence per place in it."""
        self.faults: dict[str, str] = {} if isinstance(faults, str) else dict(faults)
        whole = faults if isinstance(faults, str) else "; ".join(_said(self.faults.items()))
        super().__init__(whole)


def _said(faults: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Name each place in the words of a reader: ``auth.type is required``."""
    for pointer, message in faults:
        place = pointer.strip("/").replace("/", ".").replace("~1", "/").replace("~0", "~")
        yield f"{place} {message}" if place else message


class InvalidBody(Refused):
    """The body is not I-JSON within the bounds."""


class InvalidEvent(Refused):
    """The body is JSON but no CloudEvent that this service takes."""


class InvalidSubscription(Refused):
    """The body is JSON but no valid subscription."""


class InvalidQuery(Refused):
    """A query parameter is unknown or has a bad value."""


class InvalidJSONPath(Refused, ValueError):
    """The expression is not one of the dialect, or is beyond a bound."""


class Conflict(Refused):
    """The same source and id were accepted before with other content."""


class Outdated(Refused):
    """The request was made for another state of what it changes; read it again, and decide anew."""


class TooLarge(Refused):
    """The body is larger than the setting allows."""


class UnsupportedMediaType(Refused):
    """The body has a media type or an encoding that is not taken here."""


class NoIdentity(NotificationsError):
    """Nobody is named in the request, or the name can't be believed."""


class BadToken(NoIdentity):
    """The request brings a token, which is unknown or has expired."""


class TooOften(NotificationsError):
    """The caller must wait, ``seconds`` long, before it tries again."""

    def __init__(self, text: str, seconds: float) -> None:
        """Take what is said and how long to wait."""
        self.seconds = seconds
        super().__init__(text)


class NotAllowed(NotificationsError):
    """The caller is known, and may not do this."""


class NotYours(NotificationsError):
    """There is no such thing among the caller's own."""


class Unavailable(NotificationsError):
    """The database does not answer now; the same request may succeed later."""


class Overloaded(Unavailable):
    """More is waiting than can be done in time; the same request may succeed later."""


class ConfigError(NotificationsError):
    """Settings can't be used; the text has one line per fault with file, section and key."""


class MissingDriver(ConfigError):
    """The settings need a package that is not installed; the text names the extra that brings it."""


class NoKey(ConfigError):
    """A secret can't be stored, because the operator has set no key to seal it with."""


class BrokenSeal(NotificationsError, ValueError):
    """A stored secret can't be opened; the text names the key that it was sealed with."""


class UnknownKey(BrokenSeal):
    """It can't be opened by this process, whose settings lack the key."""


class OverBudget(NotificationsError):
    """An expression took more steps on one event than it may; another expression or event is not concerned."""
