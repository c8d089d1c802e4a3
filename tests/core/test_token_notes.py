import base64

import pytest

from stationkeeper_core.protocol.credentials import parse_token
from stationkeeper_core.protocol.token_notes import token_notes

SECRET = "NNSXS.VEICLLSGFEK4.SECRET"
TWICE = base64.b64encode(f"Bearer {SECRET}".encode()).decode()

MISTAKES = [
    (SECRET, "no word such as Bearer"),
    (f"Authorization: {SECRET}", "no word such as Bearer"),
    (f'"Bearer {SECRET}"', "in quotes"),
    (f"'Bearer {SECRET}'", "in quotes"),
    (f'"Authorization: Bearer {SECRET}"', "in quotes"),
    (f'Authorization: "Bearer {SECRET}"', "in quotes"),
    (f'Bearer "{SECRET}"', "in quotes"),
    (TWICE, "base64"),
    (f"Bearer {base64.b64encode(SECRET.encode()).decode()}", "base64"),
    (base64.b64encode(f"Authorization: Bearer {SECRET}\n".encode()).decode(), "base64"),
    (f"X-Api-Key: {SECRET}", "other than Authorization"),
    (f"Token: {SECRET}", "other than Authorization"),
    ("/run/secrets/lns/token", "path of a file"),
    ("./lns.token", "path of a file"),
    ("~/lns-token.txt", "path of a file"),
    ("Bearer /run/secrets/lns/token", "path of a file"),
    ("@token.txt", "path of a file"),
    ("C:\\lns\\token", "path of a file"),
    ("file:///run/token", "path of a file"),
    ("Bearer $LNS_TOKEN", "placeholder"),
    ("Bearer ${LNS_TOKEN}", "placeholder"),
    ("<your token>", "placeholder"),
    (f"Bearer Bearer {SECRET}", "twice"),
    (f"X-Tenant: a\nAuthorization: {SECRET}", "no word such as Bearer"),
]


@pytest.mark.parametrize(("content", "said"), MISTAKES)
def test_a_probable_mistake_is_accepted_with_a_note(content: str, said: str) -> None:
    assert parse_token(content.encode())
    (note,) = token_notes(content.encode())
    assert said in note


@pytest.mark.parametrize(("content", "_said"), MISTAKES)
def test_no_note_has_a_part_of_the_token(content: str, _said: str) -> None:
    for note in token_notes(content.encode()):
        assert not [word for word in content.replace('"', " ").split() if len(word) > 7 and word in note]


@pytest.mark.parametrize(
    "content",
    [
        f"Bearer {SECRET}",
        f"bearer {SECRET}",
        f"Authorization: Bearer {SECRET}\r\n",
        "Basic dXNlcjpwYXNz",
        f"Basic {base64.b64encode(b'user:a long password').decode()}",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "Bearer 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        f"Bearer {base64.b64encode(bytes(range(200, 232))).decode()}",
        f"Key {SECRET}",
        f"X-Tenant: a\nAuthorization: Bearer {SECRET}",
    ],
)
def test_a_token_as_it_should_be_has_no_note(content: str) -> None:
    assert parse_token(content.encode())
    assert token_notes(content.encode()) == ()
