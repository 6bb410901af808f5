"""Which subscriptions an event matches, at a cost that hardly depends on how many there are.

Most subscriptions ask the same but for their literals: with

    $[?(@.eventType = "a")].data[*][?(@.key = "b" and @.value = "c")]

all that differs from one to the next is ``("a", "b", "c")``. So what an expression consists of without its literals,
its *shape*, is kept once, and the literals are the key of an entry in a table. For an event the index does not try
expressions: it collects the tuples of values that the event has where the literals stand, and looks these up. What is
found there matches, exactly. A hundred thousand subscriptions are some tens of shapes.

How an expression gets in, one file for each step:

1. ``templates`` splits off the literals. If an expression that differs in nothing else was there before, the rest is
   known, and steps 2 to 4 are left out.
2. ``alternatives`` rewrites the parsed expression into alternatives without `or`, each in the form *conditions on the
   event, a walk to items, conditions on an item*.
3. ``holes`` takes the literals out of conditions.
4. ``recipes`` says of what is left which part is looked up and which has to be decided: a shape as a value.
5. ``collectors`` holds the table of each shape, and collects from an item the values to look up. ``signatures`` does
   the same for the conditions on the event; what is found there is a *token*, which is then one more value of an entry.
   ``stands`` chooses by which value, limit or member the items are found that may concern a collector.

How an event finds it:

6. ``envelope`` decodes it from outside in, so that one that nobody wants costs little.
7. ``loops`` walks to the items once for all shapes that ask for the same walk. For each item it looks up a value or
   two in the *guards*, and hands the item to the few collectors that want what it has.
8. ``buckets`` and ``masks`` decide what can't be looked up (``!=``, several limits, `not`), for a thousand
   subscriptions at a time: each is a bit of a whole number.
9. ``run`` is what was found out about the event.

``source`` writes the code of loops and collectors; ``show`` gives it to whoever wants to read it. ``index`` leads the
way, and holds what can't be indexed to be tried by itself.

**One writer, many readers.** A reader does not wait: it matches, and if the writer has changed something meanwhile, it
matches again, so that it sees all of an old or all of a new state; should that happen several times in a row, it waits
for its turn once. What it meets on the way may be half done but never breaks it: the writer changes dictionaries and
references one at a time, each of which is one step for a reader (the interpreter's lock sees to that), and groups that
readers run through are tuples, which are replaced and never changed. What readers make themselves (compiled code,
masks, sorted limits) carries the version of what it was made from, read before it was made, and is made again if that
has passed.
"""

from __future__ import annotations

from .explain import explain
from .hints import hints
from .index import Index
from .showing import show
from .stats import Stats
from .telling.places import shortened

__all__ = ["Index", "Stats", "explain", "hints", "shortened", "show"]
