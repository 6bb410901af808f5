"""What every login has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..access import Role
from ..config import Auth, Settings


class Login(ABC):
    """Says who may log in, in the way of a site; it is made once, when the service starts.

    It is asked by several threads at once.
    """

    def __init__(self, settings: Settings) -> None:
        """Take the settings; raises ``ConfigError`` where they can't be used."""
        self.settings = settings

    @abstractmethod
    def get_roles(self, username: str, password: str) -> list[str]:
        """Give the names of the roles that a user has, none where name and password are not authorised.

        The names are those of ``access.Role`` and of ``auth.roles``. What is raised means that nobody can be asked now.
        """


def listed_roles(name: str, auth: Auth) -> frozenset[Role]:
    """Give the roles of a user by the settings alone: it is a user, and what the lists make it."""
    listed = {Role.PRODUCER: auth.producers, Role.MANAGER: auth.managers, Role.ADMIN: auth.admins}
    return frozenset({Role.USER, *(role for role, users in listed.items() if name in users or "*" in users)})
