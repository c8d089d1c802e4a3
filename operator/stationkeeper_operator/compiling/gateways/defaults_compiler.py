"""Compile every GatewayDefaults into the LNS of the Gateways without an LNS of their own.

The whole `lns` block of one resource counts: a Gateway's own, else that of its namespace, else that of the release.
Blocks are never merged, so no URI is combined with the credentials of another block. A refused GatewayDefaults still
hides the release's one: a mistake must not send the gateways of a namespace to another operator's LNS.

Each is compiled once, for any number of Gateways. Its references are looked up in its own namespace.
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

_REMAINS = "; Gateways keep its last accepted LNS, new ones get none"

Compiled = Target | LNSByEUI | StationkeeperError
"""The LNS of a GatewayDefaults, or why it is refused."""


@dataclass(frozen=True)
class Defaults:
    """All compiled GatewayDefaults of a world.

    Attributes:
        world: that world.
        compiled: the LNS of each, or why it is refused.
    """

    world: World
    compiled: Mapping[Key, Compiled]

    def lns_for(self, gateway: Gateway) -> Target:
        """Return the LNS of a Gateway without an LNS in its spec.

        The problems of a GatewayDefaults are reported only in its own status, since it may be in another namespace. A
        problem with the token of one gateway concerns only that gateway.

        Raises:
            StationkeeperError: `LNSMissing`: there is no GatewayDefaults for it, or it is refused. With a token for
                each gateway: `TokenMissingForEUI`, or why its token cannot be used.
        """
        key = self.world.defaults_of(gateway)
        if key is None:
            raise StationkeeperError(Reason.LNS_MISSING, f"the spec has no lns, and {self._no_defaults_text(gateway)}")
        compiled, shown = self.compiled[key], f"GatewayDefaults {key.namespace}/{key.name}"
        if isinstance(compiled, StationkeeperError):
            detail = (
                f"the spec has no lns, and {shown} is refused ({compiled.reason}): correct it, or give lns.uri here"
            )
            raise StationkeeperError(Reason.LNS_MISSING, detail)
        # One object for all Gateways that use it.
        source_note = sys.intern(f"the LNS is that of {shown}")
        if isinstance(compiled, Target):
            return replace(compiled, notes=(source_note,))
        try:
            target = compiled.of(gateway)
        except StationkeeperError as error:
            raise StationkeeperError(error.reason, f"{source_note}, and {error.detail}") from None
        return replace(target, notes=(source_note, *target.notes))

    def verdicts(self, gateways: Mapping[str, int]) -> dict[Key, Verdict]:
        """Return the verdict on each GatewayDefaults.

        Args:
            gateways: the number of Gateways without an LNS of their own, by namespace.
        """
        without_lns = Counter[Key | None]()
        for namespace, number in gateways.items():
            without_lns[self.world.defaults_for(namespace)] += number
        return {
            key: _verdict(found, without_lns[key], validities_of(self.world.resources[key], self.world))
            for key, found in self.compiled.items()
        }

    def _no_defaults_text(self, gateway: Gateway) -> str:
        namespaces = dict.fromkeys((gateway.metadata.namespace, self.world.release_namespace))
        return f"there is no GatewayDefaults in namespace {' or '.join(namespaces)}: give lns.uri, or create one"


def compile_defaults(world: World, now: datetime, keys: AuthorityKeys) -> Defaults:
    """Compile all GatewayDefaults of `world`.

    Args:
        world: holds them and their references.
        now: the time, aware; for the expiry of an LNS' trust.
        keys: the keys of the TrustedCAs, which no gateway may get.
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
