"""The kinds of errors that requests are answered with: RFC 9457's problem types, each with a page of its own."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from .. import errors

#: Where the pages stand, within the application.
PLACE = "/errors"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error, as its page at ``/errors/NAME`` has it; the name never changes."""

    name: str
    status: HTTPStatus
    title: str
    remedy: str

    @property
    def path(self) -> str:
        """The path of the page, within the application."""
        return f"{PLACE}/{self.name}"

    def shown(self, path: str) -> dict[str, object]:
        """Give the page as JSON; ``path`` is where a client finds it."""
        return {"type": path, "title": self.title, "status": int(self.status), "remedy": self.remedy}


#: The one place where an error becomes a status; the nearest class counts.
KINDS: dict[type[errors.NotificationsError], Problem] = {
    errors.InvalidBody: Problem(
        "invalid-body",
        HTTPStatus.BAD_REQUEST,
        "The body is no JSON that is taken",
        "Send I-JSON (RFC 7493) in UTF-8: no member twice in one object, no NaN or Infinity, nested no deeper than"
        " receive.max_depth, and of the length that Content-Length says.",
    ),
    errors.InvalidEvent: Problem(
        "invalid-event",
        HTTPStatus.BAD_REQUEST,
        "The body is no CloudEvent that is taken",
        "Mend what errors names; /schemas/event has the rules of every version. Nothing of the request was stored,"
        " of a batch neither.",
    ),
    errors.InvalidSubscription: Problem(
        "invalid-subscription",
        HTTPStatus.BAD_REQUEST,
        "The body is no valid subscription",
        "Mend what errors names, which is everything that is wrong; /schemas/eventmatch has the rules. Nothing was"
        " changed.",
    ),
    errors.InvalidQuery: Problem(
        "invalid-parameter",
        HTTPStatus.BAD_REQUEST,
        "A part of the request that is not its body is unknown or has a bad value",
        "Mend what errors names: a query parameter, the uuid in the path, or a header.",
    ),
    errors.Refused: Problem(
        "bad-request",
        HTTPStatus.BAD_REQUEST,
        "The request can't be read",
        "Mend what detail says.",
    ),
    errors.NoIdentity: Problem(
        "no-identity",
        HTTPStatus.UNAUTHORIZED,
        "Nobody is named who is asking, or the name can't be believed",
        "Ask through the proxy that names you, or bring a token; the operator's setting that detail names is about it.",
    ),
    errors.BadToken: Problem(
        "bad-token",
        HTTPStatus.UNAUTHORIZED,
        "The token is none of this service, is unknown or has expired",
        "Log in again at /auth/login, or ask the operator for a token; send it as Authorization: Bearer TOKEN.",
    ),
    errors.NotAllowed: Problem(
        "not-allowed",
        HTTPStatus.FORBIDDEN,
        "You are known, and may not do this",
        "Ask the operator for one of the roles that detail names, or for a token that may send such events. A browser"
        " must ask from a page of this service.",
    ),
    errors.NotYours: Problem(
        "not-yours",
        HTTPStatus.FORBIDDEN,
        "There is no such subscription among your own",
        "List your own with GET /eventmatch. One of somebody else, one that was deleted and one that never was are"
        " answered alike.",
    ),
    errors.Conflict: Problem(
        "conflict",
        HTTPStatus.CONFLICT,
        "An event with the same source and id was accepted with other content",
        "Give the new event an id of its own. With receive.on_conflict = accept both are taken.",
    ),
    errors.Outdated: Problem(
        "outdated",
        HTTPStatus.PRECONDITION_FAILED,
        "The request was made for another state of what it changes",
        "GET it again, decide anew, and send the change with the ETag of that answer in If-Match.",
    ),
    errors.TooLarge: Problem(
        "too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is larger than is taken",
        "Send less: a body has at most receive.max_body bytes, a batch at most receive.max_batch events.",
    ),
    errors.UnsupportedMediaType: Problem(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body has a media type, a charset or an encoding that is not taken here",
        "Send what detail says, in UTF-8 and without Content-Encoding.",
    ),
    errors.TooOften: Problem(
        "too-often",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many logins have failed",
        "Try again after the seconds in Retry-After.",
    ),
    errors.Unavailable: Problem(
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service, or its database, does not answer now",
        "Send the same request again after the seconds in Retry-After; an event that was stored all the same is not"
        " delivered twice.",
    ),
    errors.Overloaded: Problem(
        "overloaded",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "More is waiting than can be done in time",
        "Send the same request again after the seconds in Retry-After.",
    ),
    errors.NoKey: Problem(
        "no-key",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "A secret can't be stored, because the service has no key to seal it with",
        "The operator sets secrets.key_file; until then leave auth out.",
    ),
}

#: Errors of the framework, and ours that are no class.
OTHERS: dict[int, Problem] = {
    int(problem.status): problem
    for problem in (
        KINDS[errors.Refused],
        KINDS[errors.TooLarge],
        Problem(
            "not-found",
            HTTPStatus.NOT_FOUND,
            "There is no such place",
            "GET / has links to all places.",
        ),
        Problem(
            "method-not-allowed",
            HTTPStatus.METHOD_NOT_ALLOWED,
            "The place does not take this method",
            "Use one of those that the header Allow names.",
        ),
        Problem(
            "not-acceptable",
            HTTPStatus.NOT_ACCEPTABLE,
            "No answer has a media type that the request accepts",
            "Accept application/json.",
        ),
        Problem(
            "uri-too-long",
            HTTPStatus.REQUEST_URI_TOO_LONG,
            "The path with its query is longer than is taken",
            "Send less in it.",
        ),
        Problem(
            "not-implemented",
            HTTPStatus.NOT_IMPLEMENTED,
            "The body is coded in a way that is not taken",
            "Send it as it is, with Content-Length, or in chunks alone: Transfer-Encoding: chunked.",
        ),
        Problem(
            "http-version",
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
            "The request is of a version of HTTP that is not spoken",
            "Speak HTTP/1.1.",
        ),
        Problem(
            "internal-error",
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "The service failed",
            "Tell the operator the number in detail, under which the log has the reason.",
        ),
        Problem(
            "not-ready",
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The service can't take requests yet",
            "The operator does what detail says; then send the same request again.",
        ),
    )
}

#: Every kind by its name.
BY_NAME = {problem.name: problem for problem in (*KINDS.values(), *OTHERS.values())}


def kind_of(error: errors.NotificationsError) -> Problem | None:
    """Give the kind of an error; None for one that no request is to blame for."""
    return next((KINDS[kind] for kind in type(error).__mro__ if kind in KINDS), None)
