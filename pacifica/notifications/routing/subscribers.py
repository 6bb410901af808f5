"""The subscriptions that are in use, as routing needs them."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from uuid import UUID

from .. import jsonpath, orm
from ..config import Settings
from ..errors import InvalidJSONPath
from ..matching import Index

LOG = logging.getLogger(__name__)

#: So many changes at once are worth a look at all objects of the process.
_BULK = 1000


class Subscribers:
    """Follows the subscriptions by their revision; whom an event goes to, and where that queues. Used by one thread.

    ``failed`` is told which subscription's expression failed on the event at hand, and of what: a ``ValueError`` or
    ``OverBudget``; it counts as no match, the others are not touched by it.
    """

    def __init__(
        self, settings: Settings, failed: Callable[[UUID, Exception], None], index: Callable[..., Index] = Index
    ) -> None:
        """Know none yet; ``index`` makes what holds their expressions."""
        self._new_index = partial(index, bounds_of(settings), failed)
        self._forget()

    def _forget(self) -> None:
        self._index = self._new_index()
        self._lanes: dict[UUID, str] = {}
        self._ordered: set[UUID] = set()
        #: The number of the last change that is taken up; -1 before the first time.
        self.revision = -1

    def follow(self) -> None:
        """Take up what has changed since the last time, within the caller's session; the first time that is all.

        Raises what the index raises through a fault of its own; the next time is then a first one.
        """
        began, taken, first, last = time.monotonic(), 0, self.revision < 0, max(self.revision, 0)
        with _uncollected():
            for page in orm.EventMatch.changed_since(self.revision):
                for change in page:
                    self._take_up(change)
                taken, last = taken + len(page), page[-1].revision
        # Not before all of it is in hand: what is read again after an error is only replaced.
        self.revision = last
        if first or taken >= _BULK:
            _keep_for_good()
            built, seconds = len(self._index), time.monotonic() - began
            LOG.info("index.built revision=%s changes=%s subscriptions=%s seconds=%.3f", last, taken, built, seconds)

    def _take_up(self, change: orm.Change) -> None:
        uuid = change.uuid
        try:
            self.drop(uuid)
            if change.jsonpath is not None:
                self._index.add(uuid, change.jsonpath)
                self._lanes[uuid] = change.lane
                if change.ordered:
                    self._ordered.add(uuid)
        except InvalidJSONPath as error:
            LOG.warning("subscription.unusable subscription=%s jsonpath=%s", uuid, error)
        except Exception:
            if self.revision >= 0:
                # It may be in any state.
                self._forget()
                raise
            # Nobody's expression keeps everybody else from being routed.
            LOG.exception("subscription.unusable subscription=%s", uuid)

    def drop(self, uuid: UUID) -> None:
        """Leave a subscription out until it changes; an unknown one is no error."""
        self._index.remove(uuid)
        self._lanes.pop(uuid, None)
        self._ordered.discard(uuid)

    def match(self, text: str) -> list[UUID]:
        """Give those whom an event goes to; raises ``ValueError`` if its text is no JSON."""
        return self._index.match_json(text)  # type: ignore[return-value]  # its keys are those of ``follow``

    def deliveries(self, event: UUID, accepted: datetime, to: Iterable[UUID]) -> Iterator[orm.NewDelivery]:
        """Give the deliveries of an event that was accepted then."""
        for uuid in to:
            yield orm.NewDelivery(event, uuid, self._lanes[uuid], 0, accepted if uuid in self._ordered else None)


def bounds_of(settings: Settings) -> jsonpath.Bounds:
    """Give the bounds for expressions that the settings say."""
    matching = settings.matching
    return jsonpath.Bounds(
        characters=matching.max_expression,
        nesting=matching.max_nesting,
        descents=matching.max_descents,
        union=matching.max_union,
        alternatives=matching.max_alternatives,
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage for the block: with each ten thousandth object all those before would be looked at again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _keep_for_good() -> None:
    """Leave what is there now out of later collections, which would stop all threads for as long as that takes.

    What was left out before is looked at once more: some of it may be garbage by now.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
