"""What kind of address an address is: public, or of which special-purpose block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Kind:
    """What a block of addresses is for; ``words`` stand behind "is".

    ``local`` ones are opened by the profile local. ``named`` ones are opened only by a range within their block: who
    writes ``0.0.0.0/0`` means none of them.
    """

    words: str
    public: bool = False
    local: bool = False
    named: bool = False


PUBLIC = Kind("a public address", public=True)
LOOPBACK = Kind("a loopback address", local=True, named=True)
PRIVATE = Kind("a private address", local=True)
SHARED = Kind("an address shared behind carrier-grade NAT", local=True)
LINK_LOCAL = Kind("a link-local address", named=True)
THIS_NETWORK = Kind("an address of this network", named=True)
PROTOCOL = Kind("an address for protocol assignments")
DOCUMENTATION = Kind("an address for documentation")
BENCHMARKING = Kind("an address for benchmarking")
RELAY = Kind("an address of relays and sinks")
MULTICAST = Kind("a multicast address", named=True)
RESERVED = Kind("a reserved address")
TRANSLATED = Kind("an IPv4 address behind a translator")
TUNNEL = Kind("an IPv4 address in a tunnel")

#: Every block of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), also those that are globally
#: reachable: relays, sinks and anycast of the nearest router are no place where a target lives. The narrowest counts.
#: Beside them what is multicast, and all of IPv6 but 2000::/3, the one block of which unicast addresses are given out.
#: `64:ff9b::/96` is how an IPv4 address is reached from a network that has IPv6 alone; what it carries decides.
_BLOCKS: dict[str, Kind] = {
    "0.0.0.0/0": PUBLIC,
    "0.0.0.0/8": THIS_NETWORK,
    "10.0.0.0/8": PRIVATE,
    "100.64.0.0/10": SHARED,
    "127.0.0.0/8": LOOPBACK,
    "169.254.0.0/16": LINK_LOCAL,
    "172.16.0.0/12": PRIVATE,
    "192.0.0.0/24": PROTOCOL,
    "192.0.2.0/24": DOCUMENTATION,
    "192.31.196.0/24": RELAY,
    "192.52.193.0/24": RELAY,
    "192.88.99.0/24": RELAY,
    "192.168.0.0/16": PRIVATE,
    "192.175.48.0/24": RELAY,
    "198.18.0.0/15": BENCHMARKING,
    "198.51.100.0/24": DOCUMENTATION,
    "203.0.113.0/24": DOCUMENTATION,
    "224.0.0.0/4": MULTICAST,
    "240.0.0.0/4": RESERVED,
    "::/0": RESERVED,
    "::/96": TUNNEL,
    "::/128": THIS_NETWORK,
    "::1/128": LOOPBACK,
    "64:ff9b::/96": Kind("a public address behind a translator", public=True),
    "64:ff9b:1::/48": TRANSLATED,
    "100::/64": RESERVED,
    "100:0:0:1::/64": RESERVED,
    "2000::/3": PUBLIC,
    "2001::/23": PROTOCOL,
    "2001::/32": TUNNEL,
    "2001:2::/48": BENCHMARKING,
    "2001:db8::/32": DOCUMENTATION,
    "2002::/16": TUNNEL,
    "2620:4f:8000::/48": RELAY,
    "3fff::/20": DOCUMENTATION,
    "5f00::/16": RESERVED,
    "fc00::/7": PRIVATE,
    "fe80::/10": LINK_LOCAL,
    "fec0::/10": PRIVATE,
    "ff00::/8": MULTICAST,
}
_NARROWEST_FIRST = sorted(
    ((ip_network(block), kind) for block, kind in _BLOCKS.items()), key=lambda pair: -pair[0].prefixlen
)

#: Where clouds tell a machine its secrets: AWS, Azure, Google, Oracle, Alibaba, Akamai, Scaleway and others.
METADATA = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",
            "168.63.129.16",
            "169.254.0.23",
            "169.254.42.42",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "192.0.0.192",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fd00:c1::a9fe:a9fe",
            "fd00:ec2::23",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_NOT_COMPATIBLE = (IPv6Address("::"), IPv6Address("::1"))


def canonical(address: Address) -> Address:
    """Give an address without its zone, and an IPv4 address that is written as IPv6 (``::ffff:``) as what it is."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


@lru_cache(maxsize=10000)
def kind_of(address: Address) -> tuple[Kind, Network]:
    """Give the kind of a canonical address, and the block that says so."""
    return next((kind, block) for block, kind in _NARROWEST_FIRST if address in block)


def carried(address: Address) -> tuple[IPv4Address, ...]:
    """Give the IPv4 addresses to which what is sent to a canonical address may be passed on.

    By a translator (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380, the server, and the client bit by bit
    the other way round), or as the compatible form (RFC 4291, section 2.5.5.1).
    """
    if isinstance(address, IPv4Address):
        return ()
    if address.sixtofour:
        return (address.sixtofour,)
    if address.teredo:
        return address.teredo
    compatible = address in _COMPATIBLE and address not in _NOT_COMPATIBLE
    if compatible or any(address in block for block in _NAT64):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()
