"""Plays rounds: what is found here is held against what ``jsonpath2`` finds."""

from __future__ import annotations

import json
import traceback
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pacifica.notifications import jsonpath, matching
from pacifica.notifications.errors import InvalidJSONPath, OverBudget
from pacifica.notifications.jsonpath import oracle

from .events import Events
from .mutations import Mutations
from .paths import Paths
from .webhooks import webhooks

#: Subscriptions in one index, how many of them are removed and come back with another expression.
HELD, REMOVED = 40, 10
#: Events of each kind in a round; the webhooks are large.
ANY, PACIFICA, WEBHOOKS = 18, 4, 2
#: Texts in a round of mutated syntax.
TEXTS = 200

#: An expression that has failed on an event.
STEP_0, OVER_BUDGET = "step 0", "over its budget"

#: Where only the syntax is compared.
WIDE = jsonpath.Bounds(characters=10_000, nesting=64, descents=100, union=10_000, alternatives=10**100)


@dataclass
class Tally:
    """What was compared; every mismatch is said with the seed of its round, which is enough to repeat it."""

    pairs: int = 0
    found: int = 0
    #: A slice with step 0 met a list, in both.
    failed: int = 0
    #: Ours stopped it, which is no mismatch but must be rare.
    stopped: int = 0
    texts: int = 0
    accepted: int = 0
    mismatches: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take up another one."""
        self.pairs += other.pairs
        self.found += other.found
        self.failed += other.failed
        self.stopped += other.stopped
        self.texts += other.texts
        self.accepted += other.accepted
        self.mismatches += other.mismatches


Answers = Mapping[tuple[str, int], bool | str]


def play_pairs(seed: str) -> Tally:
    """Compare expressions on events: each alone, and in an index that loses some of them and gets others."""
    chance = Random(seed)
    tally = Tally()
    events = _events(chance)
    paths = Paths(chance)
    texts: dict[str, jsonpath.Expression] = {}
    while len(texts) < HELD + REMOVED:
        text = paths.path(chance.choice(events))
        try:
            texts[text] = jsonpath.parse(text)
        except InvalidJSONPath as error:
            # A bound of ours may be in the way, seldom.
            if "at most" not in str(error):
                tally.mismatches.append(f"{seed}: {text!r} was refused: {error}")
                return tally
    answers = {
        (text, number): _answer(oracle.find, text, event) for text in texts for number, event in enumerate(events)
    }
    tally.pairs = len(answers)
    tally.found = sum(answer is True for answer in answers.values())
    tally.failed = sum(answer == STEP_0 for answer in answers.values())
    try:
        for (text, number), answer in answers.items():
            _compare_alone(seed, texts[text], events[number], answer, tally)
        _compare_index(seed, chance, [*texts], events, answers, tally)
    # Nothing of ours may raise anything here.
    except Exception as error:  # noqa: BLE001
        tally.mismatches.append(f"{seed}: {''.join(traceback.format_exception(error)[-3:])}")
    return tally


def play_texts(seed: str) -> Tally:
    """Compare which texts are accepted."""
    mutations = Mutations(Random(seed))
    tally = Tally()
    for _ in range(TEXTS):
        text = mutations.text()
        accepted = oracle.accepts(text)
        try:
            jsonpath.parse(text, WIDE)
            said = "accepted"
        except InvalidJSONPath as error:
            said = f"refused: {error}"
        tally.texts += 1
        tally.accepted += accepted
        if accepted != (said == "accepted"):
            tally.mismatches.append(f"{seed}: {text!r} was {said}")
    return tally


def _events(chance: Random) -> list[Any]:
    events = Events(chance)
    some = [events.any() for _ in range(ANY)] + [events.pacifica() for _ in range(PACIFICA)]
    return some + chance.sample(webhooks(), WEBHOOKS) if webhooks() else some


def _answer(find: Any, *arguments: Any) -> bool | str:
    try:
        return bool(find(*arguments))
    except OverBudget:
        return OVER_BUDGET
    except ValueError:
        return STEP_0


def _compare_alone(seed: str, expression: jsonpath.Expression, event: Any, answer: bool | str, tally: Tally) -> None:
    said = {"find": _answer(jsonpath.find, expression, event)}
    if hasattr(matching, "explain"):
        explained = matching.explain(expression.text, event)
        said["explain"] = explained["matches"]
        if answer == STEP_0:
            said["explain"] = STEP_0 if explained["error"] else explained["matches"]
    if said["find"] == OVER_BUDGET:
        tally.stopped += 1
        return
    for who, what in said.items():
        if what != answer:
            tally.mismatches.append(f"{seed}: {who} says {what}, not {answer}: {expression.text!r} on {_shown(event)}")


def _shown(event: Any) -> str:
    """Show an event, of a large one the beginning; the seed gives the rest."""
    text = json.dumps(event, ensure_ascii=False)
    return text if len(text) < 2000 else f"{text[:200]} …"


def _compare_index(
    seed: str, chance: Random, texts: list[str], events: list[Any], answers: Answers, tally: Tally
) -> None:
    """Match all events by an index of 40, after 10 of them went, and after they came back as others."""
    failures: dict[Hashable, Exception] = {}
    index = matching.Index(failed=failures.__setitem__)
    held: dict[Hashable, str] = {}

    def add(key: Hashable, text: str) -> None:
        held[key] = text
        index.add(key, text)

    def compare(when: str) -> None:
        for number, event in enumerate(events):
            failures.clear()
            got: dict[Hashable, bool | str] = dict.fromkeys(index.match(event), True)
            got.update((key, _failure(error)) for key, error in failures.items())
            wanted = {key: answers[text, number] for key, text in held.items() if answers[text, number]}
            for key in {*got, *wanted}:
                if got.get(key) not in (wanted.get(key), OVER_BUDGET):
                    said = f"{when} the index says {got.get(key)}, not {wanted.get(key)}"
                    shown = f"{held.get(key)!r} on {_shown(event)}"
                    tally.mismatches.append(f"{seed}: {said}, for {key}: {shown}")
        if len(index) != len(held):
            tally.mismatches.append(f"{seed}: {when} the index holds {len(index)}, not {len(held)}")

    for key, text in enumerate(texts[:HELD]):
        add(key, text)
    compare("at first")
    gone = chance.sample(range(HELD), REMOVED)
    for key in gone:
        index.remove(key)
        del held[key]
    compare("after some were removed")
    for key, text in zip(gone, texts[HELD:], strict=True):
        add(key, text)
    # Some are replaced without being removed before.
    for key in chance.sample(range(HELD), REMOVED):
        add(key, chance.choice(texts))
    compare("after others were added")


def _failure(error: Exception) -> str:
    return OVER_BUDGET if isinstance(error, OverBudget) else STEP_0
