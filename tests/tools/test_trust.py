"""`stationkeeper trust` with TLS servers on loopback: their certificates, the root, and a Station's verdict."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_tools.sample_pki import KeyPair, make_intermediate, make_root, make_server
from tests.tools.command_line import Done, stationkeeper
from tests.waiting import EVENTUALLY

NOW = datetime.now(UTC)
ROOT, OTHER = make_root("LNS Root", NOW), make_root("Other Root", NOW)
INTERMEDIATE = make_intermediate("LNS Issuing", ROOT, NOW)
SERVER = make_server(["localhost"], [], INTERMEDIATE, NOW)


@contextmanager
def serving(
    folder: Path, server: KeyPair, *chain: KeyPair, version: ssl.TLSVersion | None = None, asks: KeyPair | None = None
) -> Iterator[str]:
    """Yield the URI of an LNS that is a TLS server on loopback."""
    (folder / "server.pem").write_bytes(server.certificate_pem + b"".join(each.certificate_pem for each in chain))
    (folder / "server.key").write_bytes(server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if version is not None:
        context.minimum_version = version
    if asks is not None:
        context.load_verify_locations(cadata=asks.certificate_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    with listening(lambda connection: shake_hands(context, connection)) as port:
        yield f"wss://localhost:{port}"


def shake_hands(context: ssl.SSLContext, connection: socket.socket) -> None:
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)
    except OSError:
        pass


@contextmanager
def listening(serve: Any) -> Iterator[int]:
    with socket.create_server(("localhost", 0)) as listener:
        listener.settimeout(0.1)
        stop = threading.Event()

        def loop() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(EVENTUALLY)
                with connection:
                    serve(connection)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def bundle(folder: Path, *roots: KeyPair) -> list[str]:
    path = folder / "bundle.pem"
    path.write_bytes(b"# roots\n" + b"\n".join(each.certificate_pem for each in roots))
    return ["--ca-bundle", str(path)]


def trust(uri: str, options: Sequence[str] = ()) -> Done:
    return stationkeeper("trust", uri, "--output", "json", *options)


def pem(pair: KeyPair) -> str:
    return pair.certificate_pem.decode()


def test_the_presented_root_is_the_one_to_write(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER, INTERMEDIATE, ROOT) as uri:
        done = trust(uri, bundle(tmp_path, OTHER))

    assert done.returncode == 0, done.stdout
    assert done.json["root"]["pem"] == pem(ROOT)
    assert done.json["root"]["presented"] is True
    assert [each["subject"] for each in done.json["presented"]] == ["CN=localhost", "CN=LNS Issuing", "CN=LNS Root"]


def test_a_root_that_is_not_presented_is_found_in_the_bundle(tmp_path: Path) -> None:
    saved = tmp_path / "root.pem"
    with serving(tmp_path, SERVER, INTERMEDIATE) as uri:
        done = trust(uri, [*bundle(tmp_path, OTHER, ROOT), "--save", str(saved)])
        again = trust(uri, [*bundle(tmp_path, OTHER, ROOT), "--save", str(saved)])

    assert (done.returncode, done.json["root"]["presented"]) == (0, False)
    assert saved.read_text() == pem(ROOT)
    assert again.returncode == 2


def test_a_root_that_is_nowhere_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER, INTERMEDIATE) as uri:
        done = trust(uri, bundle(tmp_path, OTHER))

    assert (done.returncode, done.json["root"]) == (1, None)
    assert "CN=LNS Root" in done.json["problems"][0]


def test_intermediates_that_the_server_does_not_send_are_reported(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER) as uri:
        done = trust(uri, bundle(tmp_path, INTERMEDIATE, ROOT))

    assert done.returncode == 1
    assert any("must send its intermediates" in each for each in done.json["problems"])


def test_a_self_signed_server_is_its_own_root(tmp_path: Path) -> None:
    own = signed_by_itself()
    with serving(tmp_path, own) as uri:
        done = trust(uri)

    assert (done.returncode, done.json["root"]["pem"]) == (0, pem(own)), done.stdout


def signed_by_itself() -> KeyPair:
    return built(None, x509.SubjectAlternativeName([x509.DNSName("localhost")]))


def built(issuer: KeyPair | None, *extensions: x509.ExtensionType, days: int = 10) -> KeyPair:
    """Return a server's P-256 certificate with exactly these extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signer: Any = load_pem_private_key(issuer.key_pem, None) if issuer else key
    subject = issuer.x509.subject if issuer else name
    builder = (
        x509.CertificateBuilder(subject, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=20))
        .not_valid_after(NOW + timedelta(days=days))
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    pem_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(pem_key, builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))


def usage(**fields: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: fields.get(name, False) for name in names})


LOCALHOST = x509.SubjectAlternativeName([x509.DNSName("localhost")])


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (make_server(["other.example.org"], [], ROOT, NOW), "not for 'localhost'"),
        (built(ROOT, LOCALHOST, days=-1), "expired"),
        (built(ROOT, LOCALHOST, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])), "without serverAuth"),
        (built(ROOT, LOCALHOST, usage(key_encipherment=True)), "without digitalSignature"),
    ],
)
def test_what_a_station_refuses_is_reported(tmp_path: Path, server: KeyPair, says: str) -> None:
    with serving(tmp_path, server) as uri:
        done = trust(uri, bundle(tmp_path, ROOT))

    assert done.returncode == 1
    assert any(says in each for each in done.json["problems"]), done.json["problems"]


def test_a_server_that_speaks_tls_1_3_alone_is_reported(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER, INTERMEDIATE, version=ssl.TLSVersion.TLSv1_3) as uri:
        done = trust(uri, bundle(tmp_path, ROOT))

    assert done.returncode == 1
    assert any("TLS 1.3 only" in each for each in done.json["problems"])
    assert done.json["root"]["pem"] == pem(ROOT)


def test_a_server_that_asks_for_a_client_certificate_is_judged_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER, INTERMEDIATE, asks=OTHER) as uri:
        done = trust(uri, bundle(tmp_path, ROOT))

    assert done.returncode == 0, done.stdout
    assert "client certificate" in done.json["note"]


def test_a_person_reads_the_root_and_the_verdict(tmp_path: Path) -> None:
    with serving(tmp_path, SERVER, INTERMEDIATE) as uri:
        shown = stationkeeper("trust", uri, *bundle(tmp_path, ROOT)).stdout

    assert pem(ROOT) in shown
    assert "not presented; found in the bundle" in shown
    assert "A Station accepts this server" in shown


def say_nothing(connection: socket.socket) -> None:
    connection.settimeout(EVENTUALLY)
    try:
        while connection.recv(1024):
            pass
    except OSError:
        pass


def speak_http(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "timeout", "says"), [(say_nothing, "0.5", "within 0.5 s"), (speak_http, "60", "does not speak TLS")]
)
def test_a_server_that_does_not_answer_in_tls_is_unreachable(serve: Any, timeout: str, says: str) -> None:
    with listening(serve) as port:
        done = trust(f"wss://localhost:{port}", ["--timeout", timeout])

    assert (done.returncode, done.json["error"]["reason"]) == (3, "ServerUnreachable")
    assert says in done.json["error"]["message"]


def test_no_server_is_unreachable() -> None:
    with socket.create_server(("localhost", 0)) as listener:
        port = listener.getsockname()[1]

    assert trust(f"wss://localhost:{port}").returncode == 3


@pytest.mark.parametrize("uri", ["ws://lns:1887", "wss://lns", "lns:8887", "wss://lns:8887/path"])
def test_an_address_without_tls_or_port_is_a_wrong_use(uri: str) -> None:
    assert trust(uri).returncode == 2
