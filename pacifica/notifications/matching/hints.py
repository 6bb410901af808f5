"""Says of an expression that it never can match, or matches every event, where that is certain without an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from .. import jsonpath
from ..jsonpath import syntax
from .telling import knowledge, wording
from .telling.contradictions import Demands, against_literal, check_kinds, literal
from .telling.knowledge import ANY, LIST, NUMBER, OBJECT, TEXT, UNKNOWN, Impossible, NoMember, Something
from .telling.places import Place
from .telling.walk import Walk

#: Comparisons that are looked at, alone or together, and certain values of one path that are kept.
_EFFORT, _CERTAIN = 5000, 20

#: A condition, and whether its contrary is meant.
Demand: TypeAlias = tuple[syntax.Condition, bool]


class _Unclear(Exception):
    """It would take too long to tell."""


def hints(text: str, bounds: jsonpath.Bounds | None = None) -> list[str]:
    """Give sentences about an expression that never matches an event, or matches every one; mostly none.

    Only what is certain is said, of events that this service takes. Raises ``InvalidJSONPath``.
    """
    path = jsonpath.parse(text, bounds).path
    try:
        return _hints(path)
    except (_Unclear, RecursionError):
        return []


def _hints(path: syntax.Path) -> list[str]:
    judges = [_Judge(version) for version in knowledge.VERSIONS]
    reasons = [judge.reason_against(path) for judge in judges]
    if all(reasons):
        # That members of one version are missing in the other is what everybody expects.
        telling = [str(each) for each in reasons if not isinstance(each, NoMember)] or list(map(str, reasons))
        return [f"never matches: {'; '.join(dict.fromkeys(telling))}"]
    if all(judge.always_finds(path) for judge in judges) and not _may_fail(path):
        return [
            "matches every event: everything that it asks for is always there;"
            ' to choose among events compare something, as in `$[?(@.source = "…")]`'
        ]
    return []


def _may_fail(path: syntax.Path) -> bool:
    """Tell whether there is a slice with step 0, which ends a match by an error."""
    return any(isinstance(part, syntax.Slice) and part.step == 0 for part in syntax.parts(path))


class _Judge:
    """Judges expressions by what is known of the events of one version."""

    def __init__(self, version: knowledge.Version) -> None:
        self.version = version
        self._event = knowledge.event(version)
        self._effort = _EFFORT

    def reason_against(self, path: syntax.Path) -> Impossible | None:
        """Give the reason why a path never finds anything in an event, or nothing if it may."""
        try:
            self._find(path, self._event)
        except Impossible as reason:
            return reason
        return None

    def always_finds(self, path: syntax.Path) -> bool:
        """Tell whether a path finds something in every event."""
        return bool(self._certain(path, self._event))

    # What may be, each raising Impossible where it may not.

    def _find(self, path: syntax.Path, current: Something) -> Something:
        """Give what a path may find."""
        found = self._event if path.anchor == "$" else current
        filters: list[Demand] = []
        for step in path.steps:
            if isinstance(step, syntax.Descent):
                filters = []
                found = found.of(ANY) if found.kinds & {OBJECT, LIST} else found
                continue
            single = step.subscripts[0] if len(step.subscripts) == 1 else None
            if isinstance(single, syntax.Filter):
                # Filters behind one another are about the same value.
                filters.append((single.condition, False))
                self._hold(filters, found)
            else:
                filters = []
                found = self._union(step, found)
        return found

    def _union(self, step: syntax.Child, current: Something) -> Something:
        found: list[Something] = []
        reasons: list[Impossible] = []
        for subscript in step.subscripts:
            try:
                found.append(self._after(subscript, current))
            except Impossible as reason:
                reasons.append(reason)
        if not found:
            raise reasons[0]
        if len(found) == 1:
            return found[0]
        return current.of(frozenset().union(*(each.kinds for each in found)))

    def _after(self, subscript: syntax.Subscript, current: Something) -> Something:
        match subscript:
            case syntax.Filter():
                self._hold([(subscript.condition, False)], current)
                return current
            case syntax.Reference():
                knowledge.need(current, wording.path(subscript.path), OBJECT, LIST)
                named = self._find(subscript.path, current)
                within = {OBJECT} if TEXT in named.kinds else set()
                within |= {LIST} if NUMBER in named.kinds else set()
                if not current.kinds & within:
                    written = wording.path(subscript.path)
                    raise Impossible(f"`[{written}]` names nothing: it is always {named.said} of {current.said}")
                return current.of(ANY)
            case syntax.Call():
                for argument in subscript.arguments:
                    if isinstance(argument, syntax.Path) and NUMBER not in self._find(argument, current).kinds:
                        raise Impossible(f"`{wording.path(argument)}` is never a whole number, as an argument must be")
        return knowledge.after(subscript, current)

    def _hold(self, demands: list[Demand], current: Something, held: Sequence[Demand] = ()) -> None:
        """Look whether conditions may hold together, and with others that were looked at before."""
        leaves, choices = _sorted_out(demands)
        self._effort -= 1 + len(held) + len(leaves)
        if self._effort < 0:
            raise _Unclear
        for condition, negated in leaves:
            self._hold_alone(condition, negated, current)
        together = [*held, *leaves]
        self._hold_together(together, current)
        reasons: list[Impossible] = []
        for alternative in _alternatives(choices[0]) if choices else ():
            try:
                self._hold([alternative, *choices[1:]], current, together)
            except Impossible as reason:
                reasons.append(reason)
            else:
                return
        if reasons:
            raise reasons[0]

    def _hold_alone(self, condition: syntax.Condition, negated: bool, current: Something) -> None:
        if negated:
            if self._always(condition, current):
                raise Impossible(
                    f"`not {wording.condition(condition)}` never holds, because the rest of it always does"
                )
            return
        match condition:
            case syntax.Exists(syntax.Path() as path):
                self._find(path, current)
            case syntax.Exists() | syntax.Comparison(syntax.Value(), _, syntax.Value()):
                if not _constant(condition):
                    raise Impossible(f"`{wording.condition(condition)}` is never true")
            case syntax.Comparison(left, _, right):
                check_kinds(condition, self._operand(left, current), self._operand(right, current))

    def _operand(self, operand: syntax.Operand, current: Something) -> Something:
        if isinstance(operand, syntax.Value):
            return literal(operand.value, current)
        return self._find(operand, current)

    def _hold_together(self, leaves: list[Demand], current: Something) -> None:
        """Look whether what is demanded of the same path contradicts itself."""
        held = {repr(condition) for condition, negated in leaves if not negated}
        for condition, negated in leaves:
            if negated and repr(condition) in held:
                written = wording.condition(condition)
                raise Impossible(f"`{written}` and `not {written}` can't hold together")
        of_paths: dict[str, Demands] = {}
        for condition, negated in leaves:
            compared = against_literal(condition)
            paths = [compared[0]] if compared else _paths_of(condition)
            for path in paths:
                anchor = "$" if current.is_event else path.anchor
                demands = of_paths.setdefault(f"{anchor}{path.steps!r}", Demands(path))
                if compared or isinstance(condition, syntax.Exists):
                    demands.add(condition, negated)
                else:
                    demands.there |= not negated
        for demands in of_paths.values():
            if demands.there:
                demands.check(self._find(demands.path, current))

    # What is certain.

    def _certain(self, path: syntax.Path, current: Something) -> list[Something]:
        """Give values that a path finds in any case."""
        found = [self._event if path.anchor == "$" else current]
        for step in path.steps:
            if isinstance(step, syntax.Descent):
                found += [each for one in found for each in knowledge.members(one)]
            else:
                found = [each for one in found for taken in step.subscripts for each in self._taken(taken, one)]
            del found[_CERTAIN:]
        return found

    def _taken(self, subscript: syntax.Subscript, one: Something) -> Iterable[Something]:
        if isinstance(subscript, syntax.Filter):
            return [one] if self._always(subscript.condition, one) else []
        return knowledge.certain(subscript, one)

    def _always(self, condition: syntax.Condition, current: Something) -> bool:
        """Tell whether a condition holds for every such value."""
        match condition:
            case syntax.Not():
                return self._never(condition.condition, current)
            case syntax.And():
                return all(self._always(each, current) for each in condition.conditions)
            case syntax.Or():
                return any(self._always(each, current) for each in condition.conditions)
            case syntax.Exists(syntax.Path() as path):
                return bool(self._certain(path, current))
            case syntax.Exists():
                return _constant(condition)
        compared = against_literal(condition)
        if compared is None:
            return all(isinstance(each, syntax.Value) for each in (condition.left, condition.right)) and _constant(
                condition
            )
        path, operator, value = compared
        return any(_is_certain(one, operator, value) for one in self._certain(path, current))

    def _never(self, condition: syntax.Condition, current: Something) -> bool:
        try:
            self._hold([(condition, False)], current)
        except Impossible:
            return True
        return False


def _sorted_out(demands: list[Demand]) -> tuple[list[Demand], list[Demand]]:
    """Give the comparisons that all have to hold, and the conditions of which one part is enough."""
    leaves: list[Demand] = []
    choices: list[Demand] = []
    left = list(demands)
    while left:
        condition, negated = left.pop(0)
        if isinstance(condition, syntax.Not):
            left.insert(0, (condition.condition, not negated))
        elif isinstance(condition, syntax.And | syntax.Or):
            if isinstance(condition, syntax.Or) != negated:
                choices.append((condition, negated))
            else:
                left[:0] = _alternatives((condition, negated))
        else:
            leaves.append((condition, negated))
    return leaves, choices


def _alternatives(demand: Demand) -> list[Demand]:
    condition, negated = demand
    return [(each, negated) for each in condition.conditions] if isinstance(condition, syntax.And | syntax.Or) else []


def _paths_of(condition: syntax.Condition) -> list[syntax.Path]:
    match condition:
        case syntax.Comparison(left, _, right):
            return [each for each in (left, right) if isinstance(each, syntax.Path)]
        case syntax.Exists(syntax.Path() as path):
            return [path]
        case _:
            return []


def _constant(condition: syntax.Condition) -> bool:
    """Evaluate a condition without paths."""
    return Walk(None, 1_000_000).holds(condition, Place(None))


def _is_certain(one: Something, operator: str, value: Any) -> bool:
    known = one.value is not UNKNOWN
    if operator == "=":
        return bool(known and one.value == value)
    if operator == "!=":
        return knowledge.kind_of(value) not in one.kinds or bool(known and one.value != value)
    return False
