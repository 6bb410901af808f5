"""The policy: whether a delivery may go to an address, by what it is and by what the operator says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from .kinds import METADATA, Address, Network, canonical, carried, kind_of
from .reading import Place

#: Ports of targets where nothing is set: those of the web, and those that anybody may listen on.
PORTS = ((80, 80), (443, 443), (1024, 65535))


class Endpoint(NamedTuple):
    """A port where something of ours listens: at an address, at one that only its ``host`` is known of, or everywhere.

    Everywhere means: at every address of this machine.
    """

    host: str
    port: int
    address: Address | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is allowed; ``reason`` is for whoever typed the URL, ``rule`` for the operator."""

    allowed: bool
    reason: str
    rule: str


def _nowhere(_address: Address) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed.

    Asked in this order, the first that has an answer decides: our own addresses, addresses of cloud metadata, ``deny``,
    ``allow``, the profile. What an address carries must be allowed as well. ``own`` is where the service itself
    listens; ``backends`` are its database, broker and policy server, open only where ``allow`` has the very address.
    ``is_here`` tells whether an address is one of this machine's.
    """

    profile: str = "public"
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    ports: tuple[tuple[int, int], ...] = PORTS
    require_https: bool = False
    own: tuple[Endpoint, ...] = ()
    backends: tuple[Endpoint, ...] = ()
    is_here: Callable[[Address], bool] = _nowhere

    def judge(self, place: Place, addresses: Collection[Address]) -> Verdict:
        """Judge a target with all its addresses, which are its own or what its name resolved to: all must be allowed.

        The reason names what stands in the URL and the setting that would change it, never what a name resolved to.
        """
        refused = self.of_place(place)
        if refused:
            return refused
        rules = []
        for address in addresses:
            verdict = self._of_address(canonical(address), place)
            if not verdict.allowed:
                return verdict
            rules.append(f"{address} is {verdict.rule}")
        return Verdict(True, "", "; ".join(rules))

    def of_place(self, place: Place) -> Verdict | None:
        """Refuse a target by its scheme, port or name alone; None: its addresses decide."""
        if self.require_https and place.scheme != "https":
            reason = "must begin with https://; the operator can allow http with targets.require_https = false"
            return Verdict(False, reason, "targets.require_https")
        if not any(low <= place.port <= high for low, high in self.ports):
            reason = f"port {place.port} is not allowed; the operator can allow it with targets.ports"
            return Verdict(False, reason, "targets.ports")
        # With a dot at its end a name is the same one, only that it is looked for in no domain of the system's own.
        named = place.name.removesuffix("."), place.port
        if any(named == (each.host.removesuffix("."), each.port) for each in self.backends if each.address is None):
            reason = f"{place.host}:{place.port} is part of this service"
            return Verdict(False, reason, "a part of this service")
        return None

    def missing(self, addresses: Collection[Address]) -> tuple[Network, ...]:
        """Give what ``allow`` would have to have for these addresses to be allowed, each as the narrowest range."""
        each_way = [each for address in map(canonical, addresses) for each in (address, *carried(address))]
        shut = (ip_network(each) for each in each_way if each in METADATA or not self._by_profile(each))
        return tuple(each for each in shut if each not in self.allow)

    def _by_profile(self, address: Address) -> bool:
        kind, _block = kind_of(address)
        return kind.public or (self.profile == "local" and kind.local) or self.opens(address) is not None

    def opens(self, address: Address) -> Network | None:
        """Give the range of ``allow`` that opens a canonical address.

        Addresses of cloud metadata are opened by themselves alone.
        """
        kind, block = kind_of(address)
        for each in self.allow:
            if each.version != address.version or address not in each:
                continue
            if each.prefixlen == address.max_prefixlen:
                return each
            if address not in METADATA and (not kind.named or each.prefixlen >= block.prefixlen):
                return each
        return None

    def _of_address(self, address: Address, place: Place) -> Verdict:
        """Judge one canonical address, and what it carries."""
        for each in (address, *carried(address)):
            refused = self._refusal(each, address, place)
            if refused:
                return refused
        found = self.opens(address)
        return Verdict(True, "", f"in {found} of targets.allow" if found else kind_of(address)[0].words)

    def _refusal(self, address: Address, dialled: Address, place: Place) -> Verdict | None:
        """Refuse an address, which is dialled or carried by what is dialled; None if it is allowed."""
        typed, port = place.host, place.port
        at = f"{typed}:{port}"
        literal = self._literal(address)
        hint = f"the operator can allow it with targets.allow = {address}/{address.max_prefixlen}"
        if any(self._is(each, address, port) for each in self.own):
            return _refused(place, f"{at} is this service itself", address, "this service itself")
        if not literal and any(self._is(each, address, port) for each in self.backends):
            return _refused(place, f"{at} is part of this service; {hint}", address, "a part of this service")
        if not literal and address in METADATA:
            words = "an address of cloud metadata"
            return _refused(place, f"{typed} is {words}; {hint}", address, words)
        denied = next((each for each in self.deny if each.version == address.version and address in each), None)
        if denied:
            reason = f"{typed} is denied by the operator (targets.deny)"
            return _refused(place, reason, address, f"in {denied} of targets.deny")
        if self._by_profile(address):
            return None
        kind, _block = kind_of(address)
        carrying = "" if address == dialled else f"stands for {address}, which "
        reason = f"{typed} {carrying}is {kind.words}; the operator can allow it with targets.allow"
        return _refused(place, reason, address, kind.words if address == dialled else f"{kind.words}, in {dialled}")

    def _literal(self, address: Address) -> bool:
        return any(each.prefixlen == address.max_prefixlen and each.network_address == address for each in self.allow)

    def _is(self, endpoint: Endpoint, address: Address, port: int) -> bool:
        if endpoint.port != port:
            return False
        return self.is_here(address) if endpoint.everywhere else endpoint.address == address


def _refused(place: Place, reason: str, address: Address, words: str) -> Verdict:
    """Refuse; of a name it is not told where it leads."""
    if place.name:
        reason = (
            f"the name {place.host} leads to an address that is not allowed; the operator can find out with"
            " check-target, and allow it with targets.allow"
        )
    return Verdict(False, reason, f"{address} is {words}")
