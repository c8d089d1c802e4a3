"""The uses that resources allow: each compares what pods do with what users wrote."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation import fleet
from tests.simulation.history import History, Key, Spec, revokes, takes_tokens
from tests.simulation.pods import Pod
from tests.simulation.users import NAMES, all_roots, euis, tokens


@dataclass(frozen=True)
class Use:
    """One kind of access.

    Attributes:
        what: for people.
        root: the root of the certificate; empty for a Gateway.
        revocable: whether the certificate is the one that may be revoked.
        eui: the EUI; empty for a TrustedCA.
        token: the token; empty for a certificate.
    """

    what: str
    root: str = ""
    revocable: bool = False
    eui: str = ""
    token: str = ""

    def is_let_in(self, pod: Pod, key: Key) -> bool:
        """Return whether a pod allows that access by a resource of that name."""
        if self.root:
            return pod.trusts(*key, self.root, revocable=self.revocable)
        return pod.registers(*key, self.eui, self.token)

    def was_allowed(self, history: History, key: Key, since: int) -> bool:
        """Return whether a resource of that name allowed that access at any moment since a version."""
        if self.root:
            return history.trusts(key, self.root, since, revocable=self.revocable)
        return history.registers(key, self.eui, since, self.token)

    def is_allowed(self, history: History, key: Key, spec: Spec) -> bool | None:
        """Return whether a spec allows that access now; None if a reference is missing: the earlier state counts."""
        if spec.spec.get("suspended"):
            return False
        if self.root:
            return self._is_trusted(history, key, spec)
        if spec.spec["eui"] != self.eui or (self.token and not takes_tokens(spec.spec)):
            return False
        if not takes_tokens(spec.spec):
            return True
        present = history.tokens[key[0]][-1][1]
        if present is None:
            return None
        return not self.token or present.get(key[1]) == self.token

    def _is_trusted(self, history: History, key: Key, spec: Spec) -> bool | None:
        if self.revocable and revokes(spec.spec, self.root):
            return False
        text = spec.spec.get("certificates") or history.texts[key[0]][-1][1]
        return None if text is None else fleet.pem(self.root) in text


def uses_of(plural: str, key: Key) -> Iterator[Use]:
    """Return the kinds of access by a resource of that name; none for the bystander, which never changes."""
    namespace, name = key
    if namespace not in fleet.NAMESPACES:
        return
    if plural == "trustedcas":
        roots = (*all_roots(namespace, name), *all_roots(namespace, "roots")) if name in NAMES else ()
        for root in roots:
            yield Use(root, root=root)
            yield Use(f"{root}, serial number {fleet.SERIAL},", root=root, revocable=True)
        return
    for eui in euis(namespace):
        yield Use(eui, eui=eui)
        for token in tokens(namespace):
            yield Use(f"{eui} by a token", eui=eui, token=token)
