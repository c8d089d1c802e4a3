"""Every GatewayDefaults to the LNS of those Gateways that have none of their own.

The whole `lns` block of one resource counts: a Gateway's own, else its namespace's, else the release's. Blocks are
never merged, so no URI is ever combined with the credentials of another block. A GatewayDefaults that is refused hides
the release's all the same: a slip must not send a namespace's gateways to somebody else's LNS.

Each is compiled once, however many Gateways look to it; what it names is looked up in its own namespace.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_operator.compiling.gateways.endpoint_compiler import Target, compile_lns
from stationkeeper_operator.compiling.gateways.tokens_by_eui import LNSByEUI, with_tokens
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys
from stationkeeper_operator.compiling.trust.validities import validities_of
from stationkeeper_operator.compiling.verdict import ACCEPTED, MAX_MESSAGE, Validity, Verdict
from stationkeeper_operator.compiling.world import World
from stationkeeper_operator.resources.records import DEFAULTS_NAME, Gateway, GatewayDefaults, Key

_REMAINS = "; Gateways keep the LNS that was last accepted of them, new ones get none"

Compiled = Target | LNSByEUI | StationkeeperError
"""The LNS that a GatewayDefaults gives, or why it is refused."""


@dataclass(frozen=True)
class Defaults:
    """All GatewayDefaults of a world, compiled.

    Attributes:
        world: that world.
        compiled: the LNS of each, or why it is refused.
    """

    world: World
    compiled: Mapping[Key, Compiled]

    def lns_for(self, gateway: Gateway) -> Target:
        """The LNS of a Gateway whose spec has none.

        What is wrong with a GatewayDefaults is told in its own status alone: it may be of another namespace. What is
        wrong with the token of one gateway concerns that one alone.

        Raises:
            StationkeeperError: `LNSMissing`, there is no GatewayDefaults for it, or it is refused; where each gateway
                has a token of its own, `TokenMissingForEUI` or why its token cannot be used.
        """
        key = self.world.defaults_of(gateway)
        if key is None:
            raise StationkeeperError(Reason.LNS_MISSING, f"the spec has no lns, and {self._nowhere(gateway)}")
        found, shown = self.compiled[key], f"GatewayDefaults {key.namespace}/{key.name}"
        if isinstance(found, StationkeeperError):
            detail = f"the spec has no lns, and {shown} is refused ({found.reason}): mend it, or give lns.uri here"
            raise StationkeeperError(Reason.LNS_MISSING, detail)
        # All that look to it have this text in memory once.
        whose = sys.intern(f"the LNS is that of {shown}")
        if isinstance(found, Target):
            return replace(found, notes=(whose,))
        try:
            target = found.of(gateway)
        except StationkeeperError as error:
            raise StationkeeperError(error.reason, f"{whose}, and {error.detail}") from None
        return replace(target, notes=(whose, *target.notes))

    def verdicts(self, gateways: Mapping[str, int]) -> dict[Key, Verdict]:
        """Return what became of each.

        Args:
            gateways: by namespace, how many have no LNS of their own.
        """
        looking = Counter[Key | None]()
        for namespace, number in gateways.items():
            looking[self.world.defaults_for(namespace)] += number
        return {
            key: _verdict(found, looking[key], validities_of(self.world.resources[key], self.world))
            for key, found in self.compiled.items()
        }

    def _nowhere(self, gateway: Gateway) -> str:
        namespaces = dict.fromkeys((gateway.metadata.namespace, self.world.release_namespace))
        return f"there is no GatewayDefaults in namespace {' or '.join(namespaces)}: give lns.uri, or make one"


def compile_defaults(world: World, now: datetime, keys: AuthorityKeys) -> Defaults:
    """All GatewayDefaults of `world`.

    Args:
        world: where they are, and where their references are looked up.
        now: to tell whether an LNS' trust has expired; aware.
        keys: of the TrustedCAs, which no gateway is given.
    """
    found = (each for each in world.resources.values() if isinstance(each, GatewayDefaults))
    return Defaults(world, {each.key: _compile(each, world, now, keys) for each in found})


def _compile(resource: GatewayDefaults, world: World, now: datetime, keys: AuthorityKeys) -> Compiled:
    name, namespace = resource.metadata.name, resource.metadata.namespace
    if name != DEFAULTS_NAME:
        return StationkeeperError(
            Reason.INVALID_SPEC, f"metadata.name is {name!a}, and only one named {DEFAULTS_NAME} is used; create that"
        )
    if resource.spec is None:
        return StationkeeperError(Reason.INVALID_SPEC, resource.problem)
    lns = resource.spec.lns
    try:
        target = compile_lns(lns, namespace, world, now, keys)
        return target if lns.tokens is None else with_tokens(target, lns.tokens, namespace, world)
    except StationkeeperError as error:
        return error


def _verdict(found: Compiled, gateways: int, validities: tuple[Validity, ...]) -> Verdict:
    if isinstance(found, StationkeeperError):
        message = found.detail[: MAX_MESSAGE - len(_REMAINS)] + _REMAINS
        return Verdict(False, found.reason.value, message, None, gateways=gateways, validities=validities)
    message = ("; ".join(found.notes) or "the spec is in force")[:MAX_MESSAGE]
    return Verdict(True, ACCEPTED, message, None, gateways=gateways, validities=validities)
