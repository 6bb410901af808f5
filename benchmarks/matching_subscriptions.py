"""Subscriptions for the figures of matching: the mix that is promised something for, and what is hard for an index."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tests.support.factories import INGEST

from .matching_events import FOLDERS, INSTRUMENTS, KEYS, MIMETYPES, PROJECTS, SOURCES, VALUES

#: How many of a hundred have a guard and a filter of items, and such a filter alone; the others are `..` and ranges.
GUARDED, NESTED = 80, 15
#: The share of subscriptions that ask for values which events have in common; the others ask for one of their own.
POPULAR = 0.08

TYPES = (INGEST, "org.pacifica.metadata.orm", "org.pacifica.metadata.doientry", "org.pacifica.metadata.doiupdate")
#: Members of events that subscriptions look for anywhere; no event of these benchmarks has one of them.
NAMES = tuple(f"{noun}_{what}" for noun in "beam sample proposal cruise station user".split() for what in "abcdefgh")
#: What the items of files can be asked for.
FIELDS = "name subdir size mimetype ctime mtime hashtype hashsum _id destinationTable".split()


@dataclass(frozen=True)
class Subscription:
    """A JSONPath of the mix, which part of the mix it is of, and what other dialects would ask of the items."""

    text: str
    kind: str
    items: tuple[tuple[str, str], ...] = ()


def mix(number: int, seed: int, kinds: str = "guarded nested range descent") -> list[Subscription]:
    """Give so many subscriptions of the mix; those of other kinds than these are left out."""
    return list(itertools.islice((one for one in _mix(seed) if one.kind in kinds.split()), number))


def _mix(seed: int) -> Iterator[Subscription]:
    random = Random(f"subscriptions {seed}")
    for number in itertools.count():
        share = random.randrange(100)
        if share < GUARDED:
            yield _guarded(random, number)
        elif share < GUARDED + NESTED:
            items = random.choice((_transaction, _key_value, _name))(random, number)
            yield Subscription(f"$.data[*][?({_all(items)})]", "nested", items)
        elif share < 99:
            yield Subscription(_descent(random, number), "descent")
        else:
            size = random.randrange(10**6, 10**9)
            yield Subscription(f'$.data[*][?(@.destinationTable = "Files" and @.size > {size})]', "range")


def _guarded(random: Random, number: int) -> Subscription:
    items = random.choice((_transaction, _key_value, _file, _name))(random, number)
    event_type = random.choices(TYPES, (70, 10, 10, 10))[0]
    guard = f'@["eventType"] = "{event_type}" and @["source"] = "{random.choice(SOURCES)}"'
    return Subscription(f'$[?({guard})]["data"][*][?({_all(items)})]', "guarded", items)


Items = tuple[tuple[str, str], ...]


def _transaction(random: Random, number: int) -> Items:
    """Ask for a project or an instrument."""
    popular = random.random() < POPULAR
    if random.random() < 0.5:
        value = str(random.choice(INSTRUMENTS) if popular else 10_000 + number)
        return ("destinationTable", '"Transactions.instrument"'), ("value", value)
    value = f'"{random.choice(PROJECTS) if popular else f"{number}q"}"'
    return ("destinationTable", '"Transactions.project"'), ("value", value)


def _key_value(random: Random, number: int) -> Items:
    """Ask for metadata of a transaction, as the documentation's example does."""
    value = random.choice(VALUES) if random.random() < POPULAR else f"sample {number}"
    return ("destinationTable", '"TransactionKeyValue"'), ("key", f'"{random.choice(KEYS)}"'), ("value", f'"{value}"')


def _file(random: Random, number: int) -> Items:
    """Ask for a kind of file in a folder."""
    folder = random.choice(FOLDERS) if random.random() < POPULAR else f"user/{number}/"
    mimetype = random.choice(MIMETYPES)
    return ("destinationTable", '"Files"'), ("mimetype", f'"{mimetype}"'), ("subdir", f'"{folder}"')


def _name(_random: Random, number: int) -> Items:
    """Ask for a file by its name."""
    return (("name", f'"summary-{number}.dat"'),)


def _descent(random: Random, number: int) -> str:
    form = random.randrange(6)
    if form == 0:
        return f'$..[?(@.key = "{random.choice(KEYS)}" and @.value = "sample {number}")]'
    if form == 1:
        return f'$..[?(@.hashsum = "{number:032x}")]'
    if form == 2:
        return f'$..[?(@.name = "summary-{number}.dat")]'
    return f"$..{random.choice(NAMES)}"


def _all(items: Items) -> str:
    return " and ".join(f"@.{name} = {value}" for name, value in items)


def shapes(number: int, total: int, seed: int) -> list[str]:
    """Give subscriptions behind one guard that ask for so many different sets of members, all of which files have."""
    random = Random(f"shapes {seed}")
    sets = [chosen for size in range(2, 9) for chosen in itertools.combinations(FIELDS, size)]
    random.shuffle(sets)
    guard = f'@.eventType = "{INGEST}" and @.source = "{SOURCES[0]}"'
    asked = [sets[position % number] for position in range(total)]
    return [
        f"$[?({guard})].data[*][?({_all(tuple((name, _wanted(random, name)) for name in names))})]" for names in asked
    ]


def _wanted(random: Random, name: str) -> str:
    """Give a value that many files have where there are such, else one that no file has."""
    common = {"destinationTable": ("Files",), "subdir": FOLDERS, "mimetype": MIMETYPES, "hashtype": ("md5",)}
    if name in ("size", "_id"):
        return str(random.randrange(10**6))
    return f'"{random.choice(common[name]) if name in common else f"{name}-{random.randrange(10**6)}"}"'


def _two_ranges(random: Random, _number: int) -> str:
    least = random.randrange(10**6)
    return f"$.data[*][?(@.size > {least} and @.size < {least + 1000})]"


def _two_ranges_of_two(random: Random, _number: int) -> str:
    # A twentieth of the files is that large, and half of these have such a number.
    return f"$.data[*][?(@.size > {random.randrange(9 * 10**5, 10**6)} and @._id < {random.randrange(10**5, 10**6)})]"


def _unequal(_random: Random, number: int) -> str:
    return f'$.data[*][?(@.mimetype != "text/x-{number}")]'


def _one_of_many(_random: Random, number: int) -> str:
    values = [f"one {number * 17 + position}" for position in range(16)]
    values.append(VALUES[number] if number < len(VALUES) else "last")
    wanted = " or ".join(f'@.value = "{value}"' for value in values)
    return f"$.data[*][?({wanted})]"


def _in_nested_exists(_random: Random, number: int) -> str:
    return f'$[?(@.data[*][?(@.key = "{KEYS[number] if number < len(KEYS) else f"key {number}"}")])]'


def _path_to_path(_random: Random, number: int) -> str:
    return f"$.data[*][?(@.first_{number} = @.second_{number})]"


#: What is hard for an index, by what the table calls it.
HARD: dict[str, Callable[[Random, int], str]] = {
    "two ranges of one member": _two_ranges,
    "two ranges of two members": _two_ranges_of_two,
    "`!=` per item": _unequal,
    "17-way `or`": _one_of_many,
    "literal in a nested exists": _in_nested_exists,
    "path = path": _path_to_path,
}


def hard(name: str, number: int, seed: int) -> list[str]:
    """Give so many different subscriptions that are hard in this way."""
    random = Random(f"{name} {seed}")
    return [HARD[name](random, position) for position in range(number)]
