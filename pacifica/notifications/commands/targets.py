"""``check-target``: what the address policy says about a URL, and why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from .. import resolving
from ..addresses import Address, canonical, kind_of
from ..config import Settings
from .output import complain, write_json, write_lines, write_table


def check_target(options: Namespace, settings: Settings) -> bool:
    """Say whether deliveries may go to a URL, and why; true if they may."""
    policy = resolving.policy_of(settings)
    try:
        place, addresses, verdict = resolving.check(policy, options.url)
    except ValueError as error:
        complain(f"{options.url}: {error}")
        return False
    allowed = verdict is not None and verdict.allowed
    lines = [] if allowed else resolving.opening(policy.missing(addresses), settings)
    found = {
        "url": options.url,
        "profile": settings.profile,
        "host": place.host,
        "port": place.port,
        "allowed": allowed,
        "reason": _reason(place.host, verdict.reason if verdict else None),
        "rule": verdict.rule if verdict else None,
        "addresses": [{"address": str(each), "kind": _kind(each)} for each in addresses],
        "targets": lines,
    }
    if options.json:
        write_json(found)
    else:
        _tell(found, lines)
    return allowed


def _tell(found: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Print what was found for people."""
    word = "yes" if found["allowed"] else "no"
    write_table(("host", "port", "profile", "allowed"), [(found["host"], found["port"], found["profile"], word)])
    for each in found["addresses"]:
        print(f"{each['address']} is {each['kind']}")
    if found["allowed"]:
        print(f"allowed: {found['rule']}")
        return
    print(f"refused: {found['reason']}" + (f" ({found['rule']})" if found["rule"] else ""))
    if lines:
        print("These lines would open it:")
        write_lines("targets", lines)


def _reason(host: str, refusal: str | None) -> str:
    return f"the name {host} does not resolve" if refusal is None else refusal


def _kind(address: Address) -> str:
    kind, block = kind_of(canonical(address))
    return f"{kind.words} ({block})"
