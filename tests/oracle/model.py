"""Random configurations over a PKI, and the rules in their plainest form.

This model knows no search for paths: it has every chain that `openssl verify` accepts, and the rules select.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from stationkeeper_core.published.documents import (
    ALL_NAMESPACES,
    RegisteredGateway,
    ReservedEUI,
    RevocationList,
    ServedNamespace,
    TrustedAuthority,
)
from stationkeeper_core.x509.certificate import parse_certificate
from stationkeeper_core.x509.serial_numbers import pack_serials
from tests.core.states import RELEASE
from tests.oracle.openssl_verify import Chain, Verdicts
from tests.oracle.random_pki import EUIS, TIMES, Issued, Pki

NAMESPACES = ("tenant-a", "tenant-b", RELEASE)
NONE, GOOD, REFUSED = "none", "good", "refused"

Holder = RegisteredGateway | ReservedEUI


@dataclass(frozen=True)
class Crl:
    """The CRL of a key: the revoked serial numbers, and the end of its validity."""

    key: int
    serials: frozenset[int]
    next_update: int | None


@dataclass(frozen=True)
class Trusted:
    """A TrustedCA, in the terms of the oracle."""

    record: TrustedAuthority
    anchors: tuple[Issued, ...]
    intermediates: tuple[Issued, ...]
    serials: frozenset[int]
    fingerprints: frozenset[str]
    crls: tuple[Crl, ...]


@dataclass(frozen=True)
class World:
    """The configuration in force at one time."""

    trusted: tuple[Trusted, ...]
    holders: tuple[Holder, ...]


@dataclass(frozen=True)
class Question:
    """A certificate, the certificates presented with it, and the time."""

    leaf: Issued
    presented: tuple[Issued, ...]
    time: datetime


class Model:
    """The rules over one PKI.

    Args:
        pki: its certificates.
        verdicts: the verdicts of `openssl` on its chains.
    """

    def __init__(self, pki: Pki, verdicts: Verdicts) -> None:
        self._pki = pki
        self._verdicts = verdicts

    def vouchable(self, world: World, time: datetime) -> list[Chain]:
        """Return the chains that end in an anchor of any TrustedCA."""
        anchors = {anchor for each in world.trusted for anchor in each.anchors}
        return [
            chain for leaf in self._pki.leaves for chain in self._verdicts.chains(leaf, time) if chain[-1] in anchors
        ]

    def outcome(self, trusted: Trusted, question: Question) -> str:
        """Return the verdict of one TrustedCA on a certificate."""
        chains = self._usable(trusted, question, question.presented)
        if not chains:
            return NONE
        if any(self._has_named(trusted, chain) for chain in chains):
            return REFUSED
        return GOOD if any(not self._is_refused(trusted, chain, question.time) for chain in chains) else REFUSED

    def outcomes(self, trusted: Trusted, question: Question, *, all_configured: bool) -> frozenset[str]:
        """Return the possible verdicts of one TrustedCA if chains were left out.

        Args:
            trusted: the TrustedCA.
            question: the question.
            all_configured: whether only chains by presented certificates were left out.
        """
        chains = self._usable(trusted, question, question.presented)
        certain = self._usable(trusted, question, ()) if all_configured else []
        unnamed = [chain for chain in chains if not self._has_named(trusted, chain)]
        good = any(not self._is_refused(trusted, chain, question.time) for chain in unnamed)
        refused = len(unnamed) < len(chains) or any(
            self._is_refused(trusted, chain, question.time) for chain in unnamed
        )
        if any(self._has_named(trusted, chain) for chain in (certain if all_configured else chains)):
            good = False
        if any(not self._is_refused(trusted, chain, question.time) for chain in certain):
            refused = len(unnamed) < len(chains)
        return frozenset(said for said, may_be in ((NONE, not certain), (GOOD, good), (REFUSED, refused)) if may_be)

    @staticmethod
    def openings(world: World, leaf: Issued, said: Mapping[str, frozenset[str]]) -> set[str | None]:
        """Return the uids of the Gateways that a certificate may give access to; None for no Gateway.

        Args:
            world: has the Gateways.
            leaf: the certificate.
            said: the possible verdicts of each TrustedCA that is asked about one of them.
        """
        found: set[str | None] = set()
        holders = [each for each in world.holders if each.eui == leaf.subject]
        for holder in sorted(holders, key=lambda each: (each.rank, each.namespace)):
            asked = [
                said[each.record.name] for each in world.trusted if serves(each.record, holder.namespace, leaf.subject)
            ]
            none_refuses = all(each != {REFUSED} for each in asked)
            if none_refuses and any(GOOD in each for each in asked):
                found.add(holder.uid if isinstance(holder, RegisteredGateway) else None)
            if any(REFUSED in each for each in asked):
                found.add(None)
            if any(NONE not in each for each in asked):
                return found
        return {*found, None}

    def _usable(self, trusted: Trusted, question: Question, presented: Iterable[Issued]) -> list[Chain]:
        help_there_is = {*trusted.intermediates, *presented}.difference(trusted.anchors)
        return [
            chain
            for chain in self._verdicts.chains(question.leaf, question.time)
            if chain[-1] in trusted.anchors
            and all(each in help_there_is and each is not question.leaf for each in chain[1:-1])
        ]

    def _has_named(self, trusted: Trusted, chain: Chain) -> bool:
        return any(self._is_named(trusted, each) for each in chain)

    def _is_named(self, trusted: Trusted, certificate: Issued) -> bool:
        return certificate.serial in trusted.serials or certificate.sha256 in trusted.fingerprints

    def _is_refused(self, trusted: Trusted, chain: Chain, time: datetime) -> bool:
        pairs = list(pairwise(chain))
        above = (*trusted.anchors, *trusted.intermediates)
        pairs += [(chain[-1], each) for each in above if self._verdicts.issued(each, chain[-1])]
        return any(
            crl.key == issuer.key
            and (
                certificate.serial in crl.serials
                or (crl.next_update is not None and crl.next_update < int(time.timestamp()))
            )
            for certificate, issuer in pairs
            for crl in trusted.crls
        )


def make_world(chance: random.Random, pki: Pki) -> World:
    """Return a random configuration over a PKI."""
    trusted = tuple(_trusted(chance, pki, f"ca-{number}") for number in range(chance.randint(1, 4)))
    holders: list[Holder] = []
    for eui in EUIS:
        for namespace in chance.sample(NAMESPACES, chance.choice((0, 1, 1, 1, 2, 3))):
            rank = chance.randint(0, 2)
            if chance.random() < 0.2:
                holders.append(ReservedEUI(eui=eui, namespace=namespace, uid="uid", rank=rank))
            else:
                uid = f"{namespace}-{eui}"
                holders.append(RegisteredGateway(eui=eui, namespace=namespace, name="g", uid=uid, rank=rank))
    return World(trusted, tuple(holders))


def serves(record: TrustedAuthority, namespace: str, eui: str) -> bool:
    """Return whether a TrustedCA is asked about a Gateway of `namespace`."""
    if record.namespace == namespace:
        return True
    return record.namespace == RELEASE and any(
        each.namespace in {namespace, ALL_NAMESPACES} and (not each.eui_ranges or f"{eui}/64" in each.eui_ranges)
        for each in record.serves
    )


def _random_serves(chance: random.Random) -> tuple[ServedNamespace, ...]:
    return chance.choice(
        (
            (),
            (ServedNamespace(namespace=ALL_NAMESPACES),),
            (ServedNamespace(namespace="tenant-a"),),
            (
                ServedNamespace(namespace="tenant-a", eui_ranges=(f"{EUIS[0]}/64",)),
                ServedNamespace(namespace="tenant-b", eui_ranges=(f"{EUIS[1]}/64", f"{EUIS[2]}/64")),
            ),
        )
    )


def _trusted(chance: random.Random, pki: Pki, name: str) -> Trusted:
    anchors = tuple(chance.sample(pki.cas, chance.choice((1, 1, 2, 3))))
    intermediates = tuple(chance.sample(pki.cas, chance.choice((0, 0, 1, 2, 3))))
    leaf, ca = chance.choice(pki.leaves), chance.choice(pki.cas)
    serials = frozenset(chance.choice(((), (), (), (1,), (leaf.serial,), (ca.serial,))))
    fingerprints = frozenset(each.sha256 for each in chance.choice(((), (), (), (leaf,), (ca,), (leaf, ca))))
    crls = tuple(
        Crl(
            key,
            frozenset(chance.sample((1, 2, 3, leaf.serial, ca.serial), chance.randint(0, 2))),
            chance.choice((None, None, int(TIMES[1].timestamp()) - chance.choice((1, 0, -1)))),
        )
        for key in sorted({each.key for each in chance.sample(pki.cas, chance.choice((0, 0, 1, 2)))})
    )
    namespace = chance.choice(NAMESPACES)
    record = TrustedAuthority(
        namespace=namespace,
        name=name,
        uid=name,
        anchors=tuple(each.der for each in anchors),
        intermediates=tuple(each.der for each in intermediates),
        revoked_serials=tuple(sorted(f"{each:X}" for each in serials)),
        revoked_sha256=tuple(sorted(fingerprints)),
        revocation_lists=tuple(_list(pki, each) for each in crls),
        serves=_random_serves(chance),
    )
    return Trusted(record, anchors, intermediates, serials, fingerprints, crls)


def _list(pki: Pki, crl: Crl) -> RevocationList:
    issuer = next(each for each in pki.cas if each.key == crl.key)
    return RevocationList(
        issuer_key=parse_certificate(issuer.der).key_sha256 or "",
        serials=pack_serials(crl.serials),
        next_update=crl.next_update,
        refuse_overdue=crl.next_update is not None,
    )
