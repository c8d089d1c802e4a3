"""Find likely mistakes in a token, for which the server would refuse a gateway."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

_HEADER = re.compile(rb"authorization\s*:\s*", re.IGNORECASE)
_OTHER_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*:\s")
_PATH = re.compile(rb"(?:@|file:)?(?:~?/|\.{1,2}/|[A-Za-z]:\\)\S*|\S+\.(?:txt|key|token|pem|jwt)", re.IGNORECASE)
_PLACEHOLDER = re.compile(rb"\$\{?\w|\$\(|<[^>]*>|\{\{")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_QUOTES = b"\"'`"
_MIN_ENCODED = 12


@dataclass(frozen=True, repr=False)
class _Token:
    """A token in its parts.

    Attributes:
        text: the whole token.
        value: the value after `Authorization: `.
        scheme: the word before the secret, such as `Bearer`; empty if there is none.
        secret: the rest after that word.
    """

    text: bytes
    value: bytes
    scheme: bytes
    secret: bytes


def token_notes(content: bytes) -> tuple[str, ...]:
    """Return a note about a likely mistake in a token, at most one, without any part of the token.

    Args:
        content: of the Secret's key; `parse_token` accepts it.
    """
    token = _parts(content.strip())
    return next(((note,) for is_so, note in _MISTAKES if is_so(token)), ())


def _parts(text: bytes) -> _Token:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [b""]
    line = next((each for each in lines if _HEADER.match(each)), lines[0])
    found = _HEADER.match(line)
    value = line[found.end() :] if found else line
    scheme, space, secret = value.partition(b" ")
    return _Token(text, value, scheme.lower(), secret.strip()) if space else _Token(text, value, b"", value)


def _is_quoted(value: bytes) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[:1] in _QUOTES


def _is_encoded(value: bytes) -> bool:
    """Return whether it is base64 of readable text; a random token hardly ever is."""
    if len(value) < _MIN_ENCODED or len(value) % 4 or not _BASE64.fullmatch(value):
        return False
    decoded = base64.b64decode(value, validate=True).strip()
    return decoded.isascii() and decoded.decode("ascii").isprintable()


_MISTAKES: tuple[tuple[Callable[[_Token], object], str], ...] = (
    (
        lambda token: any(_is_quoted(each) for each in (token.text, token.value, token.secret)),
        "is in quotes, which are delivered as a part of it: remove the quotes",
    ),
    (
        lambda token: _OTHER_HEADER.match(token.value),
        "begins with the name of a header other than Authorization, and is delivered as Authorization's value",
    ),
    (
        lambda token: token.scheme != b"basic" and _is_encoded(token.secret),
        "is text in base64: encode it once in `data` of a Secret, and not at all in `stringData`",
    ),
    (
        lambda token: _PATH.fullmatch(token.secret),
        "looks like the path of a file: put the file's content into the Secret (--from-file)",
    ),
    (
        lambda token: _PLACEHOLDER.match(token.secret) or _PLACEHOLDER.match(token.value),
        "looks like a variable or a placeholder that was not replaced",
    ),
    (
        lambda token: token.scheme == b"bearer" and token.secret.lower().startswith(b"bearer "),
        "has the word Bearer twice",
    ),
    (
        lambda token: not token.scheme,
        "has no word such as Bearer before it, which most servers need: write `Bearer …`",
    ),
)
