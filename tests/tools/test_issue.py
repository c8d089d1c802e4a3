"""`stationkeeper issue`: the files of each gateway; existing ones are never overwritten."""

import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stationkeeper_core.protocol.credentials import client_authentication
from stationkeeper_core.protocol.station_preflight import preflight
from stationkeeper_tools.issuing.issue_run import locked
from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_intermediate, make_root
from tests.tools.command_line import Done, stationkeeper

FIRST, SECOND = "0123456789ABCDEF", "00000000AABBCCDD"
URI = "https://cups.example.org:8987"
Issue = Callable[..., Done]


@pytest.fixture(scope="module")
def root() -> KeyPair:
    return make_root("Gateways", datetime.now(UTC))


@pytest.fixture(scope="module")
def server_root() -> KeyPair:
    return make_root("Server", datetime.now(UTC))


@pytest.fixture
def issue(tmp_path: Path, root: KeyPair, server_root: KeyPair) -> Issue:
    root.write(tmp_path, "ca")
    server_root.write(tmp_path, "server")
    (tmp_path / "list.csv").write_text(f"eui,name\n{FIRST},roof\n{SECOND.lower()},tower\n")
    files = {"--csv": "list.csv", "--ca-cert": "ca.crt", "--ca-key": "ca.key", "--cups-trust": "server.crt"}

    def run(*more: str, cups: str = URI) -> Done:
        options = [text for option, name in files.items() for text in (option, str(tmp_path / name))]
        return stationkeeper("issue", *options, "--cups", cups, "--out", str(tmp_path / "out"), *more)

    return run


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_der_x509_certificate((folder / "cups.crt").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("key_type", ["p256", "rsa2048"])
def test_each_gateway_gets_the_files_of_a_station(
    issue: Issue, tmp_path: Path, server_root: KeyPair, key_type: str
) -> None:
    done = issue("--key-type", key_type)

    assert done.returncode == 0, done.stderr
    for eui in (FIRST, SECOND):
        folder = tmp_path / "out" / eui
        assert {each.name for each in folder.iterdir()} == {"cups.uri", "cups.trust", "cups.crt", "cups.key"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
        assert (folder / "cups.uri").read_text() == URI
        trust, crt, key = ((folder / f"cups.{part}").read_bytes() for part in ("trust", "crt", "key"))
        assert trust == server_root.x509.public_bytes(Encoding.DER)
        assert preflight(client_authentication(trust, crt, key)).key == key
        assert load_der_private_key(key, None).public_key() == certificate(folder).public_key()


def test_the_certificate_is_for_that_gateway_alone(issue: Issue, tmp_path: Path, root: KeyPair) -> None:
    assert issue().returncode == 0

    found = certificate(tmp_path / "out" / SECOND)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert found.subject.rfc4514_string() == f"CN={SECOND}"
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign) == (True, True, False)
    extended = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)
    found.verify_directly_issued_by(root.x509)
    assert certificate(tmp_path / "out" / FIRST).serial_number != found.serial_number


def test_the_same_command_again_changes_nothing(issue: Issue, tmp_path: Path) -> None:
    issue()
    before = contents(tmp_path / "out")

    again = issue("--output", "json")

    assert again.returncode == 0
    assert {key: again.json[key] for key in ("issued", "kept", "refused")} == {"issued": 0, "kept": 2, "refused": 0}
    assert contents(tmp_path / "out") == before


def test_after_an_interruption_it_goes_on(issue: Issue, tmp_path: Path) -> None:
    issue()
    kept = contents(tmp_path / "out" / FIRST)
    (tmp_path / "out" / SECOND).rename(tmp_path / "out" / f".new-{SECOND}")

    again = issue("--output", "json").json

    assert [each["state"] for each in again["gateways"]] == ["Kept", "Issued"]
    assert contents(tmp_path / "out" / FIRST) == kept
    assert not list((tmp_path / "out").glob(".new-*"))


def break_key(folder: Path) -> None:
    (folder / "cups.key").write_bytes(b"")


def exchange(folder: Path) -> None:
    shutil.copy(folder.with_name(SECOND) / "cups.crt", folder / "cups.crt")


def exchange_key(folder: Path) -> None:
    shutil.copy(folder.with_name(SECOND) / "cups.key", folder / "cups.key")


def lose_trust(folder: Path) -> None:
    (folder / "cups.trust").unlink()


def other_server(folder: Path) -> None:
    (folder / "cups.uri").write_text("https://other.example.org:8987")


def other_authority(folder: Path) -> None:
    other = make_gateway(FIRST, make_root("Other", datetime.now(UTC)), datetime.now(UTC))
    key = load_pem_private_key(other.key_pem, None)
    (folder / "cups.crt").write_bytes(other.x509.public_bytes(Encoding.DER))
    (folder / "cups.key").write_bytes(key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def empty(folder: Path) -> None:
    for each in folder.iterdir():
        each.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (break_key, "no private key that can be read"),
        (exchange, "has a certificate for"),
        (exchange_key, "does not belong"),
        (lose_trust, "lacks cups.trust"),
        (other_server, "another CUPS server"),
        (other_authority, "another CA signed"),
        (empty, "lacks cups.uri"),
    ],
)
def test_a_folder_that_differs_is_refused_and_left_as_it_is(
    issue: Issue, tmp_path: Path, change: Callable[[Path], None], says: str
) -> None:
    issue()
    change(tmp_path / "out" / FIRST)
    before = contents(tmp_path / "out" / FIRST)

    again = issue()

    assert again.returncode == 4
    assert says in again.stderr
    assert contents(tmp_path / "out" / FIRST) == before


def test_the_list_of_certificates_includes_earlier_runs(issue: Issue, tmp_path: Path) -> None:
    issue()
    (tmp_path / "list.csv").write_text("eui\nFFFF000000000001\n")
    issue()

    lines = (tmp_path / "out" / "issued.csv").read_text().splitlines()
    serial = f"{certificate(tmp_path / 'out' / FIRST).serial_number:X}"
    assert lines[0] == "eui,serial,sha256,notAfter"
    assert [line.split(",")[0] for line in lines[1:]] == [SECOND, FIRST, "FFFF000000000001"]
    assert lines[2].split(",")[1] == serial


def test_certificates_end_with_their_authority(issue: Issue, tmp_path: Path, root: KeyPair) -> None:
    done = issue("--days", "36500")

    assert "end when the CA's certificate ends" in done.stderr
    assert certificate(tmp_path / "out" / FIRST).not_valid_after_utc == root.x509.not_valid_after_utc


def test_two_runs_do_not_work_in_one_folder(issue: Issue, tmp_path: Path) -> None:
    with locked(tmp_path / "out"):
        done = issue()

    assert done.returncode == 2
    assert "another `stationkeeper issue`" in done.stderr


def encrypted_key(tmp_path: Path, root: KeyPair) -> list[str]:
    key = load_pem_private_key(root.key_pem, None)
    (tmp_path / "ca.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse"))
    )
    (tmp_path / "password").write_text("correct horse\n")
    return ["--ca-key-password-file", str(tmp_path / "password")]


def test_the_authoritys_key_may_be_encrypted(issue: Issue, tmp_path: Path, root: KeyPair) -> None:
    password = encrypted_key(tmp_path, root)
    without = issue()
    (tmp_path / "wrong").write_text("wrong horse")
    wrong = issue("--ca-key-password-file", str(tmp_path / "wrong"))

    assert (without.returncode, wrong.returncode) == (2, 2)
    assert "--ca-key-password-file" in without.stderr
    assert "horse" not in wrong.stderr
    assert issue(*password).returncode == 0


def test_an_intermediate_can_issue(issue: Issue, tmp_path: Path, root: KeyPair) -> None:
    make_intermediate("Issuing", root, datetime.now(UTC)).write(tmp_path, "ca")

    assert issue().returncode == 0


def leaf_as_authority(root: KeyPair) -> KeyPair:
    return make_gateway(FIRST, root, datetime.now(UTC))


def expired(_root: KeyPair) -> KeyPair:
    return make_root("Old", datetime.now(UTC) - timedelta(days=30), days=10)


def limited_to_a_domain(_root: KeyPair) -> KeyPair:
    """Return a root that may vouch only for other Common Names, by a name constraint on the subject."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Limited")])
    permitted = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]))
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.NameConstraints([permitted], None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(pem, built.public_bytes(Encoding.PEM))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (leaf_as_authority, "is not a CA certificate"),
        (expired, "has expired"),
        (limited_to_a_domain, "do not verify"),
    ],
)
def test_an_authority_that_cannot_issue_is_refused(
    issue: Issue, tmp_path: Path, root: KeyPair, make: Callable[[KeyPair], KeyPair], says: str
) -> None:
    make(root).write(tmp_path, "ca")

    done = issue()

    assert done.returncode == 2
    assert says in done.stderr
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_key_of_another_authority_is_refused(issue: Issue, tmp_path: Path, server_root: KeyPair) -> None:
    (tmp_path / "ca.key").write_bytes(server_root.key_pem)

    assert "does not belong to the key" in issue().stderr


def test_a_kind_of_key_that_no_station_reads_is_refused(issue: Issue, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    assert "neither RSA nor EC" in issue().stderr


@pytest.mark.parametrize("uri", ["https://cups.example.org", "https://cups.example.org:8987/", "http://cups:8987"])
def test_a_server_that_no_station_can_ask_is_refused_as_json(issue: Issue, uri: str) -> None:
    done = issue("--output", "json", cups=uri)

    assert done.returncode == 2
    assert done.json["error"]["reason"] == "BadInput"
    assert "--cups" in done.json["error"]["message"]


def test_no_key_is_printed(issue: Issue, tmp_path: Path) -> None:
    done = issue("--output", "json")

    assert "PRIVATE" not in done.stdout + done.stderr
    key = (tmp_path / "out" / FIRST / "cups.key").read_bytes()
    assert key.hex() not in done.stdout
