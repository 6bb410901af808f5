"""Asks jsonpath2, whose dialect it is, about the expression of a subscription that is made or changed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import jsonpath
from ..errors import InvalidJSONPath, InvalidSubscription

LOG = logging.getLogger(__name__)

#: Bounds that no text reaches before it is refused for its length.
_WIDE = jsonpath.Bounds(characters=2**16, nesting=2**16, descents=2**16, union=2**16, alternatives=2**1000)


def _accepts(text: str) -> bool:
    # Here, because loading it takes as long as half of the service.
    from ..jsonpath import oracle

    return oracle.accepts(text)


def settle(text: str, accepts: Callable[[str], bool] = _accepts) -> None:
    """Hold an expression that we take against jsonpath2's word.

    Raises ``InvalidSubscription`` where it refuses it, and logs that: either of us has a fault.
    """
    if not accepts(text):
        LOG.warning("jsonpath.disputed ours=taken jsonpath2=refused jsonpath=%r", text)
        raise InvalidSubscription(
            {
                "/jsonpath": "is understood here but not by jsonpath2 0.4.5, which defines the dialect; because the two"
                " disagree it is refused, and the operator can see that in the log: write it in another way"
            }
        )


def note(text: str, accepts: Callable[[str], bool] = _accepts) -> None:
    """Log it if jsonpath2 takes an expression that we refused, for another reason than a bound."""
    try:
        jsonpath.parse(text, _WIDE)
    except InvalidJSONPath as error:
        if len(text) <= _WIDE.characters and accepts(text):
            LOG.warning("jsonpath.disputed ours=refused jsonpath2=taken jsonpath=%r error=%s", text, error)
