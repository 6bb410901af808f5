"""Who may do what: roles, how far each reaches at each place, and the caller who has some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple

from .errors import NotAllowed


class Role(StrEnum):
    """What somebody is to this service."""

    PRODUCER = "producer"
    USER = "user"
    MANAGER = "manager"
    ADMIN = "admin"


class Reach(IntEnum):
    """Whose rows a request may touch; of several roles the farthest counts."""

    NONE = 0
    OWN = 1
    ALL = 2


class Everybody(Enum):
    """Stands for all owners, where one could stand; no name does, because it could be a user's."""

    EVERYBODY = "everybody"


EVERYBODY = Everybody.EVERYBODY
#: Whose rows a statement touches.
Owner = str | Everybody

_NONE, _OWN, _ALL = Reach.NONE, Reach.OWN, Reach.ALL
#: How far the roles reach, in the order of ``Role``. What is not here is for nobody, or asks nobody who he is.
TABLE: dict[tuple[str, str], tuple[Reach, Reach, Reach, Reach]] = {
    ("POST", "/receive"): (_ALL, _NONE, _NONE, _ALL),
    ("GET", "/eventmatch"): (_NONE, _OWN, _ALL, _ALL),
    ("POST", "/eventmatch"): (_NONE, _OWN, _OWN, _OWN),
    ("GET", "/eventmatch/UUID"): (_NONE, _OWN, _ALL, _ALL),
    ("PUT", "/eventmatch/UUID"): (_NONE, _OWN, _OWN, _ALL),
    ("DELETE", "/eventmatch/UUID"): (_NONE, _OWN, _OWN, _ALL),
}


def reach(method: str, place: str, role: Role) -> Reach:
    """Give how far a role reaches."""
    return TABLE[method, place][list(Role).index(role)]


class Permit(NamedTuple):
    """That a caller may do what was asked: its name, and whose rows that may touch."""

    name: str
    owner: Owner


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: its name, its roles, and, of a producer, how ``source`` and ``type`` of its events must begin.

    Without beginnings they may be any.
    """

    name: str
    roles: frozenset[Role]
    sources: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def permit(self, method: str, place: str) -> Permit:
        """Give what the caller may do there; raises ``NotAllowed`` that names the roles that may."""
        farthest = max((reach(method, place, role) for role in self.roles), default=Reach.NONE)
        if farthest is Reach.NONE:
            able = [role for role in Role if reach(method, place, role)]
            have = f"the roles of {self.name} are {', '.join(sorted(self.roles))}" if self.roles else "it has none"
            raise NotAllowed(f"{method} {place} needs one of the roles {', '.join(able)}; {have}")
        return Permit(self.name, EVERYBODY if farthest is Reach.ALL else self.name)

    def require_may_send(self, source: str, kind: str) -> None:
        """Raise ``NotAllowed`` unless the caller may send events of this source and type."""
        for name, value, beginnings in (("source", source, self.sources), ("type", kind, self.types)):
            if beginnings and not value.startswith(beginnings):
                raise NotAllowed(f"{self.name} may send events whose {name} begins with {' or '.join(beginnings)}")


def roles_of(named: Iterable[str], also: Mapping[str, str]) -> frozenset[Role]:
    """Give the roles behind names: those of ``Role``, and those that ``also`` maps to one; other names give none."""
    return frozenset(Role(also.get(name, name)) for name in named if also.get(name, name) in set(Role))
