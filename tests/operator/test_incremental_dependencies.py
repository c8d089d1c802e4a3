"""What the incremental compile depends on, where events at random hardly ever show it."""

from stationkeeper_operator.resources.records import GATEWAY, GATEWAY_DEFAULTS, SECRET, TRUSTED_CA, Key, Reference
from tests.operator.changing_world import CONTENTS, EUIS, LNS, RELEASE, URI, ChangingWorld, made, secret

BY_DEFAULT = {"eui": EUIS[0]}


def test_a_trusted_ca_that_came_later_follows_its_secret_too() -> None:
    world, anchors = ChangingWorld(), Reference(SECRET, "b", "anchors")
    source = {"certificatesFrom": {"secretKeyRef": {"name": "anchors", "key": "ca.crt"}}}
    first = made(TRUSTED_CA, "a", "c0", source)
    world.happens(secret(Reference(SECRET, "a", "anchors"), CONTENTS["anchors"][0]), first)
    world.happens(secret(anchors, CONTENTS["anchors"][0]), made(TRUSTED_CA, "b", "c0", source))
    world.happens()
    world.happens(secret(anchors, CONTENTS["anchors"][1]))


def test_a_gateway_gets_the_release_default_where_its_own_namespace_has_none_any_more() -> None:
    world, key = ChangingWorld(), Key(GATEWAY, "a", "g0")
    other = {"lns": {"uri": "wss://second.example.com:1", "trust": LNS}}
    world.happens(
        made(GATEWAY_DEFAULTS, RELEASE, "default", {"lns": {"uri": URI, "trust": LNS}}),
        made(GATEWAY_DEFAULTS, "a", "default", other),
        made(*key, BY_DEFAULT),
    )
    world.happens()
    assert world.told[key].lns_uri == "wss://second.example.com:1"
    world.happens((Key(GATEWAY_DEFAULTS, "a", "default"), None))
    world.happens()
    assert world.told[key].lns_uri == URI
    world.happens((Key(GATEWAY_DEFAULTS, RELEASE, "default"), None))
    world.happens()
    assert not world.told[key].accepted
    world.happens(made(GATEWAY_DEFAULTS, RELEASE, "default", other))
    world.happens()
    assert world.told[key].lns_uri == "wss://second.example.com:1"
