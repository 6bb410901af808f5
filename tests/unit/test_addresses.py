"""The address policy: every special-purpose block of both families, odd literals, and what the operator says."""

from __future__ import annotations

import csv
import resource
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pycurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacifica.notifications.addresses import METADATA, Endpoint, Policy, Verdict, canonical, carried, read
from pacifica.notifications.config import Settings
from pacifica.notifications.config.sections import Celery, Targets
from pacifica.notifications.resolving import policy_of
from pacifica.notifications.resolving.names import is_here

#: The IANA IPv4 and IPv6 Special-Purpose Address Registries.
with (Path(__file__).parent / "special_purpose.csv").open(encoding="utf-8") as _file:
    REGISTRY = list(csv.DictReader(_file))
#: The blocks that are judged by the IPv4 address in them.
EMBEDDING = {"64:ff9b::/96", "::ffff:0:0/96"}


def networks(*texts: str) -> tuple[Any, ...]:
    """Return ranges."""
    return tuple(map(ip_network, texts))


def judged(url: str, *resolved: str, **policy: Any) -> Verdict:
    """Judge a URL, whose name resolves to these addresses."""
    place = read(url)
    return Policy(**policy).judge(place, [place.address] if place.address else [ip_address(each) for each in resolved])


def allowed(address: str, **policy: Any) -> bool:
    """Tell whether an address, or one that a name resolves to, is allowed; both must be."""
    host = f"[{address}]" if ":" in address else address
    found = {judged(f"http://{host}/", **policy).allowed, judged("http://name.example/", address, **policy).allowed}
    assert len(found) == 1
    return found.pop()


def edges(block: str) -> list[str]:
    """Return the first, the last and a middle address of a block."""
    network = ip_network(block)
    first, last = int(network.network_address), int(network.broadcast_address)
    return [str(type(network.network_address)(each)) for each in (first, (first + last) // 2, last)]


# What addresses are.


@pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row["block"])
def test_no_special_purpose_block_is_public(row: dict[str, str]) -> None:
    """Nothing of the registries is allowed by itself, not even what is globally reachable: no target lives there."""
    if row["block"] in EMBEDDING:
        pytest.skip("judged by what it carries")

    assert not any(allowed(address) for address in edges(row["block"]))


@pytest.mark.parametrize(
    "block",
    ["224.0.0.0/4", "239.255.255.250/32", "ff00::/8", "fec0::/10", "::/96", "4000::/3", "::ffff:0:0:0/96", "::/8"],
)
def test_what_is_no_unicast_of_the_internet_is_not_public(block: str) -> None:
    """Neither multicast, nor what is deprecated, nor a part of IPv6 that is given out to nobody, is allowed."""
    assert not any(allowed(address) for address in edges(block) if not address.startswith("::ffff:"))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "2000::1", "2606:4700::1111", "2a00:1450::1", "3fff:1000::1", "2001:200::1",
    ],
)  # fmt: skip
def test_what_lies_beside_them_is_public(address: str) -> None:
    """The neighbours of special blocks are public."""
    assert allowed(address)


FORMS = ("::ffff:{0}", "64:ff9b::{0}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row", [row for row in REGISTRY if ":" not in row["block"]], ids=lambda row: row["block"])
def test_a_special_block_in_another_form_is_what_it_is(row: dict[str, str], form: str) -> None:
    """An IPv4 address is judged as such wherever IPv6 carries it; a public one is public."""
    assert not any(allowed(form.format(address)) for address in edges(row["block"]))
    assert allowed(form.format("1.1.1.1"))


def tunnelled(address: str) -> list[str]:
    """Return the addresses of tunnels and of a facility's own translator that carry an IPv4 address."""
    number = int(IPv4Address(address))
    base = int(IPv6Address("2001::")) | (int(IPv4Address("1.1.1.1")) << 64)
    return [
        str(IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(IPv6Address(base | (number ^ 0xFFFFFFFF))),
        str(IPv6Address(int(IPv6Address("64:ff9b:1::")) | number)),
        str(IPv6Address(number)),
    ]


def test_tunnels_are_shut_and_opened_for_what_they_carry() -> None:
    """6to4, Teredo, local translators and compatible addresses need allow; what they carry must pass even then."""
    everything = {"allow": networks("::/0")}
    for public, private in zip(tunnelled("1.1.1.1"), tunnelled("10.1.2.3"), strict=True):
        assert not allowed(public)
        assert allowed(public, **everything)
        assert not allowed(private, **everything)
        assert allowed(private, allow=networks("::/0", "10.0.0.0/8"))
        assert not allowed(public, deny=networks("1.1.1.0/24"), **everything)


@given(st.ip_addresses(v=4))
def test_what_is_carried_is_found(address: IPv4Address) -> None:
    """Each form gives back the address that was put in."""
    assert all(address in carried(IPv6Address(form)) for form in tunnelled(str(address))[:3])
    assert carried(IPv6Address(f"64:ff9b::{address}")) == (address,)
    assert canonical(IPv6Address(f"::ffff:{address}")) == address


@given(st.ip_addresses())
def test_one_rule_for_all_ways_to_write_an_address(address: IPv4Address | IPv6Address) -> None:
    """An address is judged the same with a zone, and whether it is typed or resolved."""
    policy = Policy()
    verdicts = [policy.judge(read("http://name.example/"), [address])]
    if isinstance(address, IPv6Address):
        verdicts.append(policy.judge(read("http://name.example/"), [IPv6Address(f"{address}%1")]))
        verdicts.append(policy.judge(read(f"http://[{address.exploded.upper()}]/"), [address]))

    assert len({verdict.allowed for verdict in verdicts}) == 1


# Reading URLs.


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1", "2130706433", "017700000001", "127.1", "0", "0x7f000001", "127.0.0.01", "0177.0.0.1", "1.2.3.4.5",
        "127.0.0.256", "0x", "example.0x10", "example.123", "127.0.0.0x1", "①②⑦.⓪.⓪.①", "127。0。0。1", "ⓛocalhost",
        ".", "127.0.0.1.", "0x7f.1.", "example.com..", "example..com", ".example.com", "exa%6dple.com", "127.0.0.1%00",
        "[::1%25eth0]", "[fe80::1%eth0]", "[::1", "::1", "[127.0.0.1]", "[::1]x", "[]", "", "exam ple.com", "a\tb",
        "a\nb", "127.0.0.1\\@example.com", "example.com\\", "exa\u00admple.com", "a" * 64, "localhost\u3002",
        "\u212aelvin.example",
    ],
)  # fmt: skip
def test_odd_hosts_are_refused(host: str) -> None:
    """What one program could read as another host than another program is no host of a target."""
    for end in ("", "/", ":80/", "?q", "/a\\b"):
        with pytest.raises(ValueError, match=r"host|http|URL"):
            read(f"http://{host}{end}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a/",
        "file:///etc/passwd",
        "gopher://a/",
        "unix:/run/x",
        "//a/",
        "http:a",
        "http:///a",
        "http\u017f://a/",
    ],
)
def test_other_schemes_are_refused(url: str) -> None:
    """Targets are on http and https."""
    with pytest.raises(ValueError, match="http"):
        read(url)


@pytest.mark.parametrize("port", ["0", "65536", "99999999", "-1", "+80", "8_0", "80 ", "٣", "0x50"])
def test_odd_ports_are_refused(port: str) -> None:
    """A port is a decimal number from 1 to 65535."""
    with pytest.raises(ValueError, match=r"port|host|URL"):
        read(f"http://example.com:{port}/")


HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.ip_addresses(v=6).map(lambda address: f"[{address.exploded.upper()}]"),
    st.from_regex(r"[a-zA-Z0-9_-]{1,8}(\.[a-zA-Z0-9_-]{1,8}){0,3}\.?", fullmatch=True),
    st.text(alphabet="aA0.1x:@[]%-_/\\?#é。①\t ", max_size=12),
)
URLS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "HTTP"]),
    st.sampled_from(["", "", "", "user@", "user:password@", "a@b@"]),
    HOSTS,
    st.sampled_from(["", ":", ":8080", ":0080", ":65535"]),
    st.sampled_from(["", "/", "/a@b:9/c", "?q=@x", "/a/../b", "#f"]),
)


def dialled(url: str, name: str, port: int) -> tuple[str, int] | None:
    """Return the address and port that curl opens a socket to, where one name resolves; None if it opens none."""
    opened: list[tuple[str, int]] = []

    def note(_purpose: int, wanted: Any) -> int:
        opened.append(wanted.addr[:2])
        return pycurl.SOCKET_BAD

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.OPENSOCKETFUNCTION, note)
    # Nothing else resolves: a question goes to a server where nobody listens.
    curl.setopt(pycurl.RESOLVE, [f"{name}:{port}:192.0.2.7"] if name else ["unused.invalid:1:192.0.2.8"])
    try:
        curl.perform()
    except pycurl.error:
        pass
    finally:
        curl.close()
    return opened[0] if opened else None


@given(URLS)
def test_what_is_read_is_what_curl_dials(url: str) -> None:
    """Whatever the text, curl goes to the host and port that were judged."""
    try:
        place = read(url)
        url.encode("ascii")
    except ValueError:
        return
    found = dialled(url, place.name, place.port)

    if place.address is None:
        assert found == ("192.0.2.7", place.port)
    else:
        # "0.0.0.0" and the like can't be dialled everywhere, but nothing else is.
        assert found is None or (canonical(ip_address(found[0])), found[1]) == (canonical(place.address), place.port)


# What the operator says.


def test_the_refusal_names_the_literal_and_the_setting() -> None:
    """Whoever typed an address reads what it is, and what the operator can do."""
    found = judged("http://10.1.2.3/")

    assert found.reason == "10.1.2.3 is a private address; the operator can allow it with targets.allow"


def test_the_refusal_of_a_name_does_not_tell_where_it_leads() -> None:
    """The policy must not answer what a name resolves to inside, or which rule was met there."""
    reasons = {
        judged("http://db.inside.example/", address, deny=networks("1.0.0.0/8")).reason
        for address in ("10.1.2.3", "127.0.0.1", "169.254.169.254", "::1", "1.2.3.4")
    }

    [reason] = reasons
    assert reason.startswith("the name db.inside.example leads to an address that is not allowed; ")


def test_all_answers_must_pass() -> None:
    """A name with one address that is not allowed is refused, wherever in the answer that stands."""
    assert judged("http://a.example/", "1.1.1.1", "2606:4700::1111").allowed
    assert not judged("http://a.example/", "1.1.1.1", "10.0.0.1").allowed
    assert not judged("http://a.example/", "10.0.0.1", "1.1.1.1").allowed
    assert not judged("http://a.example/", "1.1.1.1", "::1").allowed


def test_allow_opens_ranges_and_deny_shuts_them() -> None:
    """Allow opens what the profile does not, deny shuts what either opens."""
    policy = {"allow": networks("10.20.0.0/16", "fd00:1::/32"), "deny": networks("10.20.9.0/24", "1.1.1.0/24")}

    assert allowed("10.20.1.2", **policy)
    assert allowed("fd00:1::5", **policy)
    assert allowed("::ffff:10.20.1.2", **policy)
    assert not allowed("10.21.1.2", **policy)
    assert not allowed("10.20.9.2", **policy)
    assert not allowed("1.1.1.1", **policy)
    assert allowed("1.1.2.1", **policy)
    assert "targets.deny" in judged("http://1.1.1.1/", **policy).reason


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1"])
def test_everything_does_not_mean_this_machine(address: str) -> None:
    """A range that is wider than the block of loopback, link-local and such addresses does not open them."""
    [block] = [str(ip_network(f"{address}/{length}", strict=False)) for length in [4 if address[:3] == "224" else 8]]
    if address.startswith("169"):
        block = "169.254.0.0/16"

    assert not allowed(address, allow=networks("0.0.0.0/0"))
    assert allowed(address, allow=networks(block))


@pytest.mark.parametrize("address", sorted({*map(str, METADATA), "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1"}))
def test_metadata_is_opened_by_its_own_address_alone(address: str) -> None:
    """Where clouds keep a machine's secrets nobody is sent by a range or a profile."""
    wide = networks(
        "0.0.0.0/0", "::/0", "169.254.0.0/16", "fd00::/8", "100.64.0.0/10", "192.0.0.0/24", "168.63.129.0/24"
    )

    assert not allowed(address)
    assert not allowed(address, allow=wide)
    assert not allowed(address, allow=wide, profile="local")
    assert allowed(address, allow=networks(address))
    assert f"targets.allow = {ip_network(address)}" in judged(f"http://{_host(address)}/", allow=wide).reason


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def test_a_range_of_mapped_addresses_is_one_of_ipv4() -> None:
    """A setting in that form is in force for the addresses that it means."""
    targets = Targets(allow=("::ffff:10.1.0.0/112",), deny=("::ffff:8.8.8.0/120", "::fffe:0:0/95"))
    policy = policy_of(Settings(targets=targets))

    assert policy.allow == networks("10.1.0.0/16")
    assert policy.deny == networks("8.8.8.0/24", "::fffe:0:0/95")
    assert not policy.judge(read("http://8.8.8.8/"), [ip_address("8.8.8.8")]).allowed


def test_metadata_behind_a_translator_is_metadata() -> None:
    """It makes no difference which form it comes in."""
    for form in FORMS:
        assert not allowed(form.format("169.254.169.254"), profile="local", allow=networks("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize(
    ("profile", "opened"),
    [
        ("public", set()),
        ("facility", set()),
        ("local", {"127.0.0.1", "::1", "10.1.1.1", "192.168.1.1", "fd12::1", "100.64.1.1"}),
    ],
)
def test_profiles(profile: str, opened: set[str]) -> None:
    """Only the profile local opens anything by itself: loopback and private addresses."""
    tried = {
        "127.0.0.1",
        "::1",
        "10.1.1.1",
        "192.168.1.1",
        "fd12::1",
        "100.64.1.1",
        "169.254.1.1",
        "fe80::1",
        "0.0.0.0",
    }

    assert {address for address in tried if allowed(address, profile=profile)} == opened
    assert allowed("1.1.1.1", profile=profile)


def test_ports_and_https() -> None:
    """Ports below 1024 are shut but for those of the web, unless they are set; https may be asked for."""
    for port, open_ in ((80, True), (443, True), (1024, True), (65535, True), (22, False), (25, False), (1023, False)):
        assert judged(f"http://1.1.1.1:{port}/").allowed == open_
    assert judged("http://1.1.1.1:25/", ports=((25, 25),)).allowed
    assert "targets.ports" in judged("http://1.1.1.1:25/").reason
    assert "targets.require_https" in judged("http://1.1.1.1/", require_https=True).reason
    assert judged("https://1.1.1.1/", require_https=True).allowed


def test_the_service_itself_is_no_target() -> None:
    """Nothing opens the place where the service listens; the same port elsewhere is another place."""
    here = ip_address("127.0.0.1")
    own = (Endpoint("localhost", 8070, here),)
    policy = {"own": own, "profile": "local", "allow": networks("127.0.0.1/32", "127.0.0.2/32")}

    assert not judged("http://127.0.0.1:8070/", **policy).allowed
    assert not judged("http://me.example:8070/", "127.0.0.1", **policy).allowed
    assert not judged("http://[::ffff:127.0.0.1]:8070/", **policy).allowed
    assert judged("http://127.0.0.1:8071/", **policy).allowed
    assert judged("http://127.0.0.2:8070/", **policy).allowed


def test_a_service_on_every_address_is_no_target_on_any() -> None:
    """Where it listens on all addresses, each of this machine's is its own."""
    policy = {
        "own": (Endpoint("", 8070, everywhere=True),),
        "is_here": lambda address: str(address) == "10.0.0.5",
        "profile": "local",
    }

    assert not judged("http://10.0.0.5:8070/", **policy).allowed
    assert judged("http://10.0.0.6:8070/", **policy).allowed


def test_an_address_that_cannot_be_looked_into_is_taken_for_ours() -> None:
    """Without a file descriptor the service itself is no target all the same."""
    theirs, limits = ip_address("192.0.2.1"), resource.getrlimit(resource.RLIMIT_NOFILE)

    assert is_here(ip_address("127.0.0.1"))
    assert not is_here(theirs)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        found = is_here(theirs)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found


def test_parts_of_the_service_are_opened_by_their_address_alone() -> None:
    """Database, broker and policy server stay shut in a range that is open, and where only their name is known."""
    policy = {
        "backends": (
            Endpoint("127.0.0.1", 5432, ip_address("127.0.0.1")),
            Endpoint("db.example", 5432),
            Endpoint("bus.example.", 5672),
        ),
        "profile": "local",
    }

    assert not judged("http://127.0.0.1:5432/", **policy).allowed
    assert not judged("http://127.0.0.1:5432/", allow=networks("127.0.0.0/8"), **policy).allowed
    assert not judged("http://db.example:5432/", "10.0.0.1", **policy).allowed
    assert not judged("http://db.example.:5432/", "10.0.0.1", **policy).allowed
    assert not judged("http://bus.example:5672/", "10.0.0.1", **policy).allowed
    assert judged("http://127.0.0.1:5432/", allow=networks("127.0.0.1"), **policy).allowed
    assert judged("http://127.0.0.1:5433/", **policy).allowed


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "[::1]"])
def test_a_part_that_is_reached_on_loopback_is_no_target_on_this_machine(host: str) -> None:
    """It may listen on every address; another port of them is another place."""
    policy = policy_of(Settings(celery=Celery(broker_url=f"amqp://{host}//"), targets=Targets(profile="local")))

    for address in ("127.0.0.1", "127.0.0.2"):
        found = [policy.judge(read(f"http://{address}:{port}/"), [ip_address(address)]) for port in (5672, 5673)]
        assert [each.allowed for each in found] == [False, True]
        assert "is part of this service" in found[0].reason


def test_the_registry_of_the_tests_has_both_families() -> None:
    """The file has as many blocks as the registries: 26 of IPv4, 25 of IPv6, each written as one."""
    blocks = [ip_network(row["block"]) for row in REGISTRY]

    assert len(blocks) == len(set(blocks))
    assert [sum(block.version == version for block in blocks) for version in (4, 6)] == [26, 25]
    assert socket.has_ipv6
    assert IPv6Network("64:ff9b::/96") in blocks
