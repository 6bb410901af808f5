"""``check-target``: what the address policy says about a URL, and why."""

from __future__ import annotations

from argparse import Namespace

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
    shut = () if allowed else policy.missing(addresses)
    found = {
        "url": options.url,
        "profile": settings.profile,
        "host": place.host,
        "port": place.port,
        "allowed": allowed,
        "reason": _reason(place.host, verdict.reason if verdict else None),
        "rule": verdict.rule if verdict else None,
        "addresses": [{"address": str(each), "kind": _kind(each)} for each in addresses],
        "targets": resolving.opening(shut, settings),
    }
    if options.json:
        write_json(found)
        return allowed
    write_table(
        ("host", "port", "profile", "allowed"), [(place.host, place.port, settings.profile, "yes" if allowed else "no")]
    )
    for each in addresses:
        print(f"{each} is {_kind(each)}")
    if allowed:
        print(f"allowed: {found['rule']}")
        return True
    print(f"refused: {found['reason']}" + (f" ({found['rule']})" if verdict else ""))
    if shut:
        print("These lines would open it:")
        write_lines("targets", resolving.opening(shut, settings))
    return False


def _reason(host: str, refusal: str | None) -> str:
    return f"the name {host} does not resolve" if refusal is None else refusal


def _kind(address: Address) -> str:
    kind, block = kind_of(canonical(address))
    return f"{kind.words} ({block})"
