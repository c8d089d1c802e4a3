"""Find the Gateways that a change of the shared facts affects."""

from functools import cached_property

from stationkeeper_core.errors import StationkeeperError
from stationkeeper_operator.compiling.gateways.defaults_compiler import Compiled
from stationkeeper_operator.compiling.gateways.tokens_by_eui import LNSByEUI
from stationkeeper_operator.compiling.shared_facts import SharedFacts
from stationkeeper_operator.compiling.trust.authority_keys import AuthorityKeys
from stationkeeper_operator.compiling.world import looks_to_defaults
from stationkeeper_operator.resources.records import TRUSTED_CA, Gateway, Key


class FactsChange:
    """The difference between the old and the new shared facts.

    Args:
        old: the old facts.
        new: the new facts.
    """

    def __init__(self, old: SharedFacts, new: SharedFacts) -> None:
        self._old = old
        self._new = new
        self._trusted_cas = _trusted_cas(old) ^ _trusted_cas(new)
        self._defaults: dict[str, bool | tuple[LNSByEUI, LNSByEUI]] = {}

    @property
    def scopes_changed(self) -> bool:
        """Whether the TrustedCAs in force, or those that will be in force, have changed."""
        return self._old.trust.document != self._new.trust.document or self._old.before != self._new.before

    @cached_property
    def vouching_changed(self) -> bool:
        """Whether the vouching of any Gateway may have changed."""
        return not self._new.vouching_cas.is_equivalent_to(self._old.vouching_cas)

    @cached_property
    def affects_nothing(self) -> bool:
        """Whether the change affects no Gateway."""
        old, new = self._old, self._new
        same_defaults = old.defaults.compiled.keys() == new.defaults.compiled.keys() and all(
            _is_same(each, new.defaults.compiled[key]) for key, each in old.defaults.compiled.items()
        )
        return same_defaults and not self._keys and not self._trusted_cas and not self._trust_changed

    def affects(self, gateway: Gateway, keys: frozenset[str], *, checked_own_cups: bool) -> bool:
        """Return whether a Gateway must be compiled again.

        Args:
            gateway: the Gateway.
            keys: the digests of the keys that its last compile compared with the TrustedCAs' keys.
            checked_own_cups: whether its last compile checked it against this release's CUPS.
        """
        return (
            (checked_own_cups and self._trust_changed)
            or not keys.isdisjoint(self._keys)
            or (bool(self._trusted_cas) and self._names_changed_ca(gateway))
            or self._has_another_default(gateway)
        )

    @cached_property
    def _trust_changed(self) -> bool:
        return self._old.trust.document != self._new.trust.document

    @cached_property
    def _keys(self) -> frozenset[str]:
        return _difference(self._old.keys, self._new.keys)

    def _names_changed_ca(self, gateway: Gateway) -> bool:
        client = gateway.spec.client if gateway.spec is not None else None
        names = (client.trusted_cas if client is not None else None) or ()
        namespace = gateway.metadata.namespace
        texts = (text if "/" in text else f"{namespace}/{text}" for text in names)
        return any(Key(TRUSTED_CA, *text.split("/", 1)) in self._trusted_cas for text in texts)

    def _has_another_default(self, gateway: Gateway) -> bool:
        if not looks_to_defaults(gateway):
            return False
        namespace = gateway.metadata.namespace
        found = self._defaults.get(namespace)
        if found is None:
            found = self._defaults[namespace] = self._default_of(namespace)
        if isinstance(found, bool):
            return found
        old, new = found
        return new.differs_for(gateway, old)

    def _default_of(self, namespace: str) -> bool | tuple[LNSByEUI, LNSByEUI]:
        """Return whether all Gateways of a namespace have another default; if only some may, the old and new LNS."""
        before, now = (each.world.defaults_for(namespace) for each in (self._old, self._new))
        if before != now or before is None or now is None:
            return before != now
        old, new = self._old.defaults.compiled[before], self._new.defaults.compiled[now]
        if isinstance(old, LNSByEUI) and isinstance(new, LNSByEUI) and old.tokens != new.tokens:
            is_same_otherwise = (old.target, old.trust, old.secret) == (new.target, new.trust, new.secret)
            return (old, new) if is_same_otherwise else True
        return not _is_same(old, new)


def _trusted_cas(facts: SharedFacts) -> frozenset[Key]:
    return frozenset(key for key in facts.world.resources if key.kind == TRUSTED_CA)


def _difference(old: AuthorityKeys, new: AuthorityKeys) -> frozenset[str]:
    """Return the keys that differ in any namespace."""
    nothing = frozenset[str]()
    namespaces = old.by_namespace.keys() | new.by_namespace.keys()
    pairs = ((old.by_namespace.get(each, nothing), new.by_namespace.get(each, nothing)) for each in namespaces)
    return (old.everywhere ^ new.everywhere).union(*(one ^ other for one, other in pairs))


def _is_same(old: Compiled, new: Compiled) -> bool:
    """Return whether both give every Gateway the same result; if both are refused, only the reason counts."""
    if isinstance(old, StationkeeperError) and isinstance(new, StationkeeperError):
        return old.reason == new.reason
    return old == new
