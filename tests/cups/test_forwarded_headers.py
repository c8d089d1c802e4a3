"""Read the headers in which proxies forward certificates."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from stationkeeper_core.errors import Reason, StationkeeperError
from stationkeeper_core.x509.client_certificate import MAX_PRESENTED
from stationkeeper_cups.forwarded.headers import (
    MAX_FIELD_BYTES,
    NAMES,
    Form,
    client_address,
    forwarded_names,
    presented,
)
from stationkeeper_tools.sample_pki import KeyPair
from tests.cups.forwarding import bare, escaped
from tests.cups.pki import Pki

Headers = list[tuple[bytes, bytes]]


def headers(form: Form, *values: str) -> Headers:
    return [(b"Host", b"cups.example.com"), *((NAMES[form].title(), value.encode()) for value in values)]


def der(*pairs: KeyPair) -> tuple[bytes, ...]:
    return tuple(pair.x509.public_bytes(Encoding.DER) for pair in pairs)


def detail_of(form: Form, given: Headers) -> str:
    with pytest.raises(StationkeeperError) as caught:
        presented(form, given)
    assert caught.value.reason is Reason.FORWARDED_CERTIFICATE_INVALID
    assert "BEGIN" not in caught.value.detail
    return caught.value.detail


def test_each_form_is_read_to_what_the_client_presented(pki: Pki) -> None:
    leaf, issuer = pki.a_indirect_gateway, pki.a_intermediate
    envoy = (
        f'Cert="{escaped(leaf)}"',
        f"Cert={escaped(leaf)}",
        f'By=spiffe://a;Hash=ab;Subject="CN=\\"a\\", O=b; c";URI=x;URI=y;Cert="{escaped(leaf)}"',
    )
    for value in envoy:
        assert presented(Form.ENVOY, headers(Form.ENVOY, value)) == der(leaf)
    chain = f'Chain="{escaped(leaf, issuer)}"'
    for value in (chain, f'Cert="{escaped(leaf)}";{chain}'):
        assert presented(Form.ENVOY, headers(Form.ENVOY, value)) == der(leaf, issuer)
    assert presented(Form.TRAEFIK, headers(Form.TRAEFIK, bare(leaf, issuer))) == der(leaf, issuer)
    quoted = bare(leaf, issuer).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D").replace(",", "%2C")
    assert presented(Form.TRAEFIK, headers(Form.TRAEFIK, quoted)) == der(leaf, issuer)
    assert presented(Form.NGINX, headers(Form.NGINX, escaped(leaf))) == der(leaf)
    for form in Form:
        assert presented(form, headers(form)) == ()


def test_an_ambiguous_header_is_refused(pki: Pki) -> None:
    one, two = escaped(pki.a_gateway), escaped(pki.b_gateway)
    cases = {
        "is there 2 times": (Form.NGINX, headers(Form.NGINX, one, two)),
        "is accepted": (Form.NGINX, headers(Form.NGINX, one) + headers(Form.ENVOY, f"Cert={one}")),
        "x-forwarded-client-cert; only ssl-client-cert is": (Form.NGINX, headers(Form.ENVOY, f"Cert={one}")),
        "there are 2 certificates": (Form.NGINX, headers(Form.NGINX, one + two)),
        "several clients": (Form.ENVOY, headers(Form.ENVOY, f"Cert={one},Cert={two}")),
        "Cert is there twice": (Form.ENVOY, headers(Form.ENVOY, f"Cert={one};Cert={two}")),
        "Chain is there twice": (Form.ENVOY, headers(Form.ENVOY, f"Chain={one};Chain={two}")),
        "not the first certificate of Chain": (Form.ENVOY, headers(Form.ENVOY, f"Cert={one};Chain={two}")),
        "only the client's own is expected": (Form.ENVOY, headers(Form.ENVOY, f"Cert={one + two}")),
    }
    for told, (form, lines) in cases.items():
        assert told in detail_of(form, lines)


@pytest.mark.parametrize(
    ("form", "value", "told"),
    [
        (Form.ENVOY, "", "list of pairs"),
        (Form.ENVOY, "Hash=ab", "neither Cert nor Chain"),
        (Form.ENVOY, 'Cert="', "list of pairs"),
        (Form.ENVOY, 'Cert="a"b', "list of pairs"),
        (Form.ENVOY, "Cert=", "there are 0|it has 0"),
        (Form.ENVOY, "Cert=MIIB", "not PEM"),
        (Form.NGINX, "", "it has 0"),
        (Form.NGINX, "%2D%2D", "not PEM"),
        (Form.NGINX, "-----BEGIN%20PRIVATE%20KEY-----%0AMAA=%0A-----END%20PRIVATE%20KEY-----", "not PEM"),
        (Form.NGINX, "-----BEGIN%20CERTIFICATE-----%0AMA=A%0A-----END%20CERTIFICATE-----", "not base64"),
        (Form.NGINX, "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----", "not DER"),
        (Form.NGINX, "-----BEGIN%20CERTIFICATE-----%0AMAA=%0A-----END%20CERTIFICATE-----%0Amore", "not PEM"),
        (Form.TRAEFIK, "", "not DER"),
        (Form.TRAEFIK, "MAA=,", "not DER"),
        (Form.TRAEFIK, "MA A=", "not base64"),
        (Form.TRAEFIK, ",".join(["MAA="] * (MAX_PRESENTED + 2)), f"1 to {MAX_PRESENTED + 1}"),
        (Form.TRAEFIK, "A" * (MAX_FIELD_BYTES + 1), "the maximum is"),
    ],
)
def test_a_header_of_another_form_is_refused(form: Form, value: str, told: str) -> None:
    assert any(each in detail_of(form, headers(form, value)) for each in told.split("|"))


_PIECES = st.sampled_from(
    [b"Cert=", b"Chain=", b'"', b";", b",", b"\\", b"%0A", b"%", b"MAA=", b"=", b"-----BEGIN%20CERTIFICATE-----%0A"]
)


@given(st.sampled_from(Form), st.lists(st.one_of(_PIECES, st.binary(max_size=5)), max_size=30))
def test_any_header_gives_der_or_a_named_refusal(form: Form, pieces: list[bytes]) -> None:
    try:
        found = presented(form, [(NAMES[form], b"".join(pieces))])
    except StationkeeperError as error:
        assert error.reason is Reason.FORWARDED_CERTIFICATE_INVALID
    else:
        assert 1 <= len(found) <= MAX_PRESENTED + 1
        assert all(each[:1] == b"\x30" for each in found)


def test_headers_are_known_in_any_case_and_others_are_not() -> None:
    known = [(b"X-Forwarded-Client-Cert", b""), (b"SSL-CLIENT-CERT", b""), (b"x-forwarded-tls-client-cert", b"")]
    assert len(forwarded_names(known)) == 3
    assert forwarded_names([(b"Ssl_Client_Cert", b""), (b"X-Forwarded-For", b"")]) == ()


@pytest.mark.parametrize(
    ("values", "peer"),
    [
        ([], "10.0.0.1"),
        ([b"192.0.2.7"], "192.0.2.7"),
        ([b"198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        ([b"198.51.100.1", b"192.0.2.7"], "192.0.2.7"),
        ([b"::ffff:192.0.2.7"], "192.0.2.7"),
        ([b"2001:db8::7"], "2001:db8::7"),
        ([b"192.0.2.7, unknown"], "10.0.0.1"),
        ([b"192.0.2.7:1234"], "10.0.0.1"),
        ([b"\xff"], "10.0.0.1"),
        ([b""], "10.0.0.1"),
    ],
)
def test_the_address_is_what_the_proxy_itself_added(values: list[bytes], peer: str) -> None:
    assert client_address([(b"X-Forwarded-For", each) for each in values], "10.0.0.1") == peer
