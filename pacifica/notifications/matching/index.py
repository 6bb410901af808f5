"""Holds the expressions of all subscriptions, and gives those that find something in an event."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache, partial
from itertools import product
from threading import Lock
from typing import Any

from .. import jsonpath
from . import envelope
from .alternatives import NotIndexable, OneOf
from .buckets import Member
from .collectors import Collector, Handle, Shape
from .loops import Loop
from .recipes import Form
from .run import Run
from .signatures import Signature, Token
from .stats import Stats, size
from .templates import Planned, Slots, Templates

#: What is told of an expression that failed on an event: its key and the error.
OnFailure = Callable[[Hashable, Exception], None]


#: So often a reader begins again because something has changed meanwhile; then it waits for the writer.
_TRIES = 3
_NONE: dict[Hashable, Exception] = {}
#: After so many events that somebody may want in a row, only every so manyth is looked at from outside first.
_PATIENCE = 16


class _Outside:
    """An expression that is tried by itself."""

    __slots__ = ("expression", "why")

    def __init__(self, expression: jsonpath.Expression, why: str) -> None:
        self.expression, self.why = expression, why


class Index:
    """Expressions by key; for one writer and any number of readers at the same time.

    What fails on an event, or would take more work than an expression may on an event of its size, is told to
    ``failed`` and counts as no match; the others are not touched by it.
    """

    def __init__(self, bounds: jsonpath.Bounds | None = None, failed: OnFailure | None = None) -> None:
        """Start empty."""
        self._bounds = bounds or jsonpath.Bounds()
        self._failed = failed
        self._held: dict[Hashable, Any] = {}
        self._outside: dict[Hashable, _Outside] = {}
        self._shapes: dict[str, Shape] = {}
        self._signatures: dict[str, Signature] = {}
        self._loops: dict[str, Loop] = {}
        self._event = Loop((), None)
        self._always = Token(())
        #: How many expressions stand under more than one entry.
        self._several = 0
        self._templates = Templates(self._bounds)
        self._writing = Lock()
        #: Odd while something is being changed.
        self._changes = 0
        #: Events since the last one that nobody wanted. Readers that count at the same time may miscount; no harm.
        self._in_vain = 0

    def __len__(self) -> int:
        """Count the expressions."""
        return len(self._held)

    def add(self, key: Hashable, text: str) -> None:
        """Hold an expression under a key, in place of the one that was there.

        Raises ``InvalidJSONPath``; then nothing is held under the key.
        """
        try:
            what = self._planned(text)
        except ValueError:
            self.remove(key)
            raise
        with self._writing:
            self._changes += 1
            try:
                self._put(key, what)
            finally:
                self._changes += 1

    def _planned(self, text: str) -> Any:
        """Give how an expression is held; raises ``InvalidJSONPath``."""
        try:
            return self._templates.plan(text)
        except (NotIndexable, RecursionError) as error:
            why = str(error) if isinstance(error, NotIndexable) else "is nested too deep"
            return _Outside(jsonpath.parse(text, self._bounds), why)

    def remove(self, key: Hashable) -> None:
        """Forget a key; one that is not there is no error."""
        with self._writing:
            self._changes += 1
            try:
                held = self._held.pop(key, self)
                if held is not self:
                    self._leave(held, key)
            finally:
                self._changes += 1

    def _put(self, key: Hashable, what: Any) -> None:
        """Enter what was planned, and let what was there before leave."""
        if isinstance(what, _Outside):
            self._outside[key] = handle = what
        else:
            handle = self._entered(what[0], what[1], key)
        before = self._held.setdefault(key, handle)
        if before is not handle:
            self._held[key] = handle
            self._leave(before, key, handle)

    def match(self, event: Any) -> list[Hashable]:
        """Give the keys of the expressions that find something in an event, a value of ``json.loads``."""
        for _ in range(_TRIES):
            changes = self._changes
            if not changes % 2:
                found, failed = self._find(event)
                if changes == self._changes:
                    break
        else:
            with self._writing:
                found, failed = self._find(event)
        if failed and self._failed is not None:
            for key, error in failed.items():
                self._failed(key, error)
        return found

    def _find(self, event: Any) -> tuple[list[Hashable], dict[Hashable, Exception]]:
        """Give the keys that match, and those that fail."""
        run = Run(event)
        self._event.run(run)
        self._always.found(run)
        for loop in run.loops:
            loop.run(run)
        found = run.keys()
        if self._several:
            found = list(dict.fromkeys(found))
        if not self._outside and not run.failures:
            return found, _NONE
        failed: dict[Hashable, Exception] = dict(run.failures)
        found = [key for key in found if key not in failed]
        size = cache(partial(jsonpath.size_of, event))
        for key, outside in list(self._outside.items()):
            try:
                if jsonpath.find(outside.expression, event, size):
                    found.append(key)
            # Whatever happens with an expression of a user concerns that user alone.
            except Exception as error:  # noqa: BLE001
                failed[key] = error
        return found, failed

    def match_json(self, text: str) -> list[Hashable]:
        """Give the keys of the expressions that find something in an event, the JSON of which is given.

        Decodes as little of it as will do: of an event that nobody wants only what says so. Raises ``ValueError`` if
        it is no JSON.
        """
        if not self._outside and self._worth_opening():
            parts = envelope.opened(text)
            if parts is not None and not envelope.wanted(parts, self._event, self._always):
                self._in_vain = 0
                return []
            self._in_vain += 1
        return self.match(envelope.decoded(text))

    def stats(self) -> Stats:
        """Count what the index holds; for the writer, as it looks at everything."""
        loops = [self._event, *self._loops.values()]
        return Stats(
            expressions=len(self._held),
            shapes=len(self._shapes),
            outside={key: outside.why for key, outside in self._outside.items()},
            bytes=size(self._held, [*self._shapes.values(), *self._signatures.values()], loops),
        )

    def sources(self) -> Iterator[tuple[str, str]]:
        """Give the generated source of all loops and collectors, each with what it is."""
        made: list[tuple[str, Loop | Collector]] = [("the event", self._event)]
        made += [("asked of the event", signature) for signature in self._signatures.values()]
        made += [("a walk", loop) for loop in self._loops.values()]
        made += [("asked of an item", shape) for shape in self._shapes.values()]
        for what, one in made:
            lines, _ = one.source()
            yield what, "\n".join(lines) + "\n"

    def _worth_opening(self) -> bool:
        """Tell whether to look at an event from outside first: seldom, while that is mostly in vain."""
        if self._in_vain < _PATIENCE:
            return True
        self._in_vain += 1
        return not self._in_vain % _PATIENCE

    def _entered(self, planned: Planned, values: list[Any], key: Hashable) -> Any:
        """Enter an expression under each of its alternatives; give what removes it."""
        slots = planned.slots
        if len(slots) == 1 and (one := slots[0]).single:
            shape = self._shapes.get(one.key) or self._new_shape(one)
            event, item, rest = one.single
            return self._enter(
                shape,
                tuple([values[place] for place in event]) if event else (),
                [values[place] for place in item],
                tuple([values[place] for place in rest]) if rest else (),
                key,
            )
        handles: dict[Any, Handle] = {}
        for one in slots:
            shape = self._shapes.get(one.key) or self._new_shape(one)
            for literals in _choices(one, values):
                if (one.key, literals) not in handles:
                    handles[one.key, literals] = self._enter(shape, *literals, key)
        if len(handles) > 1:
            self._several += 1
        return list(handles.values())

    def _enter(
        self, shape: Shape, event: tuple[Any, ...], item: Iterable[Any], rest: tuple[Any, ...], key: Hashable
    ) -> Handle:
        signature = shape.parent
        if signature is None:
            handle = shape.add((*item, shape), rest, key)
            if shape.loop is not self._event:
                self._always.use(shape.loop)
            return handle
        entry = (*event, signature)
        token = signature.table.get(entry) or Token(entry)
        handle = shape.add((*item, token, shape), rest, key)
        if token.use(shape.loop):
            signature.enter(entry, token)
        return handle

    def _leave(self, held: Any, key: Hashable, instead: Any = ()) -> None:
        """Undo what was done to enter an expression, except where another one stands ``instead`` in the same place."""
        if isinstance(held, _Outside):
            if self._outside.get(key) is held:
                del self._outside[key]
            return
        kept = set(instead if isinstance(instead, list) else [instead]) if instead else ()
        if not isinstance(held, list):
            self._leave_one(held, key, held in kept)
            return
        if len(held) > 1:
            self._several -= 1
        for handle in held:
            self._leave_one(handle, key, handle in kept)

    def _leave_one(self, handle: Handle, key: Hashable, kept: bool) -> None:
        entry = handle.entry if isinstance(handle, Member) else handle
        shape = entry[-1]
        signature = shape.parent
        if signature is not None:
            token = entry[-2]
            if token.disuse(shape.loop):
                signature.leave(token.entry)
                if not signature.table:
                    del self._signatures[signature.key]
        elif shape.loop is not self._event:
            self._always.disuse(shape.loop)
        if not kept:
            shape.remove(handle, key)
            if not shape.table:
                self._forget(shape)

    def _forget(self, shape: Shape) -> None:
        """Let a shape that nobody has any more go, with its code."""
        del self._shapes[shape.key]
        shape.loop.shapes -= 1
        if not shape.loop.shapes and shape.loop is not self._event:
            del self._loops[shape.loop.key]

    def _new_shape(self, one: Slots) -> Shape:
        form = one.form
        signature = self._signature(form)
        shape = self._shapes[one.key] = Shape(one.key, form.item, self._loop(form), signature)
        return shape

    def _signature(self, form: Form) -> Signature | None:
        """Give the signature of a form; none if it does not walk, for then the event is its item."""
        if not any((form.event.equal, form.event.exist, form.event.checks)):
            return None
        key = repr(form.event)
        signature = self._signatures.get(key)
        if signature is None:
            signature = self._signatures[key] = Signature(key, form.event, self._event)
        return signature

    def _loop(self, form: Form) -> Loop:
        if form.walk is None:
            return self._event
        key = repr((form.way, form.walk))
        loop = self._loops.get(key)
        if loop is None:
            loop = self._loops[key] = Loop(form.way, form.walk, key)
        return loop


def _choices(one: Slots, values: list[Any]) -> Iterable[tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]]:
    """Give the literals for event, item and rest, for each choice of one literal where several are wanted."""
    rest = tuple(
        values[place] if isinstance(place, int) else OneOf(values[each] for each in place) for place in one.rest
    )
    wanted = [(place,) if isinstance(place, int) else place for place in (*one.event, *one.item)]
    for places in product(*wanted):
        literals = tuple(values[place] for place in places)
        yield literals[: len(one.event)], literals[len(one.event) :], rest
