"""The tokens that a gateway may use without a certificate: those of a spec, and the remaining ones in force.

Each token is identified by the key of its Secret. So a token that is removed from the spec, or replaced, ends at once.
If its Secret cannot be used for a while, the token stays in force, like everything else that was accepted.
"""

from dataclasses import dataclass
from functools import partial

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.policy.token_authorization import MAX_TOKENS, token_sha256
from stationkeeper_core.protocol.token_notes import token_notes
from stationkeeper_core.published.documents import RegisteredGateway
from stationkeeper_operator.compiling.candidate import Problems
from stationkeeper_operator.compiling.world import SecretUse, World
from stationkeeper_operator.resources.specs import Client, TokenSource


@dataclass(frozen=True)
class ClientTokens:
    """Tokens by their sources.

    Attributes:
        digests: the SHA-256 in lower-case hex by `name/key` of the Secret; None for a token that cannot be used.
        notes: notes for the author of the spec.
    """

    digests: dict[str, str | None]
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[tuple[str, str], ...]:
        """The source and digest of each usable token, sorted."""
        return tuple(sorted((source, each) for source, each in self.digests.items() if each is not None))

    def still_allows(self, source: str, digest: str) -> bool:
        """Return whether a token in force may stay in force."""
        return source in self.digests and self.digests[source] in {None, digest}


def read_tokens(client: Client | None, namespace: str, world: World, problems: Problems) -> ClientTokens:
    """Return the tokens of a spec.

    Args:
        client: `spec.client`.
        namespace: of the Gateway.
        world: holds the Secrets.
        problems: collects the problems of the tokens.
    """
    listed = (client.tokens if client is not None else None) or ()
    if len(listed) > MAX_TOKENS:
        detail = f"client.tokens lists {len(listed)}, at most {MAX_TOKENS} are possible"
        problems.errors.append(StationkeeperError(Reason.INVALID_SPEC, detail))
    notes: list[str] = []
    digests = {
        f"{each.secret_key_ref.name}/{each.secret_key_ref.key}": problems.attempt(
            partial(_digest, each, f"client.tokens[{position}]", namespace, world, notes)
        )
        for position, each in enumerate(listed)
    }
    return ClientTokens(digests, tuple(notes))


def remaining_tokens(record: RegisteredGateway, listed: ClientTokens | None) -> tuple[tuple[str, str], ...]:
    """Return the source and digest of each token in force that `listed` still allows; all if `listed` is None."""
    in_force = zip(record.token_sources, record.token_sha256s, strict=False)
    return tuple(each for each in in_force if listed is None or listed.still_allows(*each))


def _digest(source: TokenSource, field: str, namespace: str, world: World, notes: list[str]) -> str:
    content = world.read(namespace, source, field, SecretUse.CREDENTIALS)
    try:
        digest = token_sha256(content)
    except StationkeeperError as error:
        raise StationkeeperError(error.reason, f"{field}: {error.detail}") from None
    notes += (f"{field}: the token {note}" for note in token_notes(content))
    return digest
