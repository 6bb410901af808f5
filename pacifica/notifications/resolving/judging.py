"""Holds targets against the settings: the policy that they make, and its verdict about one URL."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from ..addresses import METADATA, Address, Endpoint, Network, Place, Policy, Verdict, read
from ..config import Settings
from ..config.values import is_loopback
from .names import LookUp, is_here, look_up

#: Ports of what the settings name without one.
_PORTS = {
    "postgresql": 5432,
    "mysql": 3306,
    "amqp": 5672,
    "pyamqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
    "http": 80,
    "https": 443,
}
#: Hosts with which one says: on every address.
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - nothing listens here


def policy_of(settings: Settings) -> Policy:
    """Give the policy that settings make."""
    targets = settings.targets
    return Policy(
        profile=settings.profile,
        allow=_networks(targets.allow),
        deny=_networks(targets.deny),
        ports=tuple(_range(part) for part in targets.ports),
        require_https=targets.require_https,
        own=tuple(_listener(settings)),
        backends=tuple(_backends(settings)),
        is_here=is_here,
    )


class Checked(NamedTuple):
    """Where a URL leads, its addresses, and the verdict; None where its name does not resolve."""

    place: Place
    addresses: tuple[Address, ...]
    verdict: Verdict | None


def check(policy: Policy, url: str, look_up: LookUp = look_up) -> Checked:
    """Judge a URL; waits for the system's answer. Raises ``ValueError`` for what is no URL of a target."""
    place = read(url)
    addresses = (place.address,) if place.address else look_up(place.name)
    refused = policy.of_place(place)
    if refused or not addresses:
        return Checked(place, addresses, refused)
    return Checked(place, addresses, policy.judge(place, addresses))


def opening(shut: Iterable[Network], settings: Settings) -> list[str]:
    """Give the two lines of the section ``targets`` that open ranges beside those that are open already."""
    ranges = sorted(set(shut), key=lambda each: (each.version, each))
    if not ranges:
        return []
    allow = ", ".join([*settings.targets.allow, *map(str, ranges)])
    profile = "facility" if settings.profile == "public" else settings.profile
    return [f"profile = {profile}", f"allow = {allow}"]


def summary(settings: Settings) -> tuple[list[str], list[str]]:
    """Say at start where targets may be, and of what an operator should be warned."""
    policy, targets = policy_of(settings), settings.targets
    where = {"local": "public, private and loopback addresses"}.get(policy.profile, "public addresses")
    if targets.allow:
        where += f", and {', '.join(targets.allow)}"
    by_itself = "" if targets.profile else ", not set"
    said = [f"targets={policy.profile}: {where} (targets.profile{by_itself})"]
    warned = [
        f"targets.allow has {each}, where clouds tell a machine its secrets: every subscriber can post to it"
        for each in policy.allow
        if each.network_address in METADATA and each.prefixlen == each.max_prefixlen
    ]
    if policy.profile == "facility" and not policy.allow:
        warned.append("targets.profile = facility opens nothing without targets.allow, which names your networks")
    return said, warned


def _endpoints(host: str, port: int) -> Iterator[Endpoint]:
    """Give where somebody listens on a host; of a name other than localhost the name alone."""
    host = host.strip("[]").lower()
    if host in _EVERYWHERE:
        yield Endpoint(host, port, everywhere=True)
        return
    for each in ("127.0.0.1", "::1") if host == "localhost" else (host,):
        try:
            yield Endpoint(host, port, ipaddress.ip_address(each))
        except ValueError:
            yield Endpoint(host, port)


def _listener(settings: Settings) -> Iterator[Endpoint]:
    if settings.listens is not None:
        yield from _endpoints(*settings.listens)


def _backends(settings: Settings) -> Iterator[Endpoint]:
    for url in (settings.database_url, settings.celery.broker_url, settings.policy_url):
        # A broker may be several, separated by semicolons.
        for each in url.split(";"):
            try:
                parts = urlsplit(each)
                host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
            except ValueError:
                continue
            if host and port:
                yield from _reachable(host, port)


def _reachable(host: str, port: int) -> Iterator[Endpoint]:
    """Give where a part of ours may listen that the settings reach on a host.

    One that is reached on loopback may listen on every address of this machine.
    """
    if is_loopback(host.removesuffix(".")):
        yield Endpoint(host, port, everywhere=True)
    else:
        yield from _endpoints(host, port)


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(_network, texts))


def _network(text: str) -> Network:
    """Read a range; one of IPv4 addresses that are written as IPv6 is of what they are, as they are judged so."""
    found = ipaddress.ip_network(text)
    mapped = found.version == 6 and found.network_address.ipv4_mapped
    return ipaddress.ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)
