"""A CUPS process that reads documents from a folder; the test acts as its kubelet."""

import http.client
import json
import os
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stationkeeper_core.eui64 import EUI64, format_hex, format_id6
from stationkeeper_core.published.registry_layout import BUCKETS, layout_of
from stationkeeper_tools.ports import free_ports
from stationkeeper_tools.processes import ManagedProcess
from stationkeeper_tools.sample_pki import KeyPair, make_gateway, make_root, make_server
from tests.controlplane.operator_release import Release
from tests.waiting import EVENTUALLY

NOTHING_CRC = 2077607535


class CupsProcess:
    """A CUPS process and its folder; published documents reach it only by `deliver`.

    Attributes:
        internal_port: where the operator asks it.
    """

    def __init__(
        self,
        folder: Path,
        release: Release,
        token: str,
        *,
        operator_certificate: bytes = b"",
        latest_seconds: int = 0,
        buckets: int = BUCKETS,
    ) -> None:
        self._folder = folder
        self._release = release
        self._layout = layout_of(buckets)
        self._documents = folder / "documents"
        self._documents.mkdir(parents=True)
        now = datetime.now(UTC)
        server_ca = make_root("cups-server", now)
        self._server_ca, _ = server_ca.write(folder, "server-ca")
        certificates, key = make_server(["localhost"], ["127.0.0.1"], server_ca, now).write(folder, "server")
        (folder / "token").write_text(token)
        self.internal_port, self._port = free_ports(2)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STATIONKEEPER_")},
            "STATIONKEEPER_SOURCE": "files",
            "STATIONKEEPER_DOCUMENTS_FOLDER": str(self._documents),
            "STATIONKEEPER_TLS_CERT": str(certificates),
            "STATIONKEEPER_TLS_KEY": str(key),
            "STATIONKEEPER_CUPS_ADDRESS": f"127.0.0.1:{self._port}",
            "STATIONKEEPER_INTERNAL_ADDRESS": f"127.0.0.1:{self.internal_port}",
            "STATIONKEEPER_INTERNAL_TOKEN_FILE": str(folder / "token"),
            "STATIONKEEPER_REGISTRY_BUCKETS": str(buckets),
        }
        if operator_certificate:
            (folder / "operator.pem").write_bytes(operator_certificate)
            environment["STATIONKEEPER_OPERATOR_CERTIFICATE_FILE"] = str(folder / "operator.pem")
            environment["STATIONKEEPER_LATEST_SECONDS"] = str(latest_seconds)
        command = [sys.executable, "-c", "from stationkeeper_cups.main import main; main()"]
        self._log = folder / "cups.log"
        self._process = ManagedProcess("cups", command, self._log, environment)

    def start(self) -> None:
        """Deliver the published documents, and wait until it serves gateways."""
        self.deliver()
        self.begin()
        self._process.wait_until(self.is_serving, EVENTUALLY, "CUPS serves")

    def begin(self) -> None:
        """Start it with the present content of its folder, and with a new log."""
        self._log.unlink(missing_ok=True)
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """Kill it, as a crash does."""
        self._process.kill()

    def tells(self, event: str) -> bool:
        """Return whether it has logged that since its last start."""
        return f'"{event}"' in self._log.read_text()

    def is_serving(self) -> bool:
        """Return whether gateways may connect."""
        return self.tells("serving")

    def deliver(self) -> None:
        """Write the published documents into its folder, as a kubelet does."""
        for document in self._layout.documents:
            value = self._release.document_value(document)
            if value is not None:
                self.lay(document, value)

    def lay(self, document: str, value: bytes) -> None:
        """Write `value` as the document."""
        fresh = self._documents.parent / f"{document}.new"
        fresh.write_bytes(value)
        fresh.replace(self._documents / document)

    def ask(self, root: KeyPair, eui: int, *, reports_crc: int | None = None) -> str:
        """Ask as the gateway `eui` with a certificate of `root`; `200`, the reason of the refusal, or `closed`.

        It is `closed` if the server ends the connection instead of an answer: trust was taken away meanwhile.

        Args:
            root: who signs its certificate.
            eui: its number.
            reports_crc: the CRC of the LNS credentials that it says to have; None: it says nothing of what it has.
        """
        text = format_hex(EUI64(eui))
        certificate, key = make_gateway(text, root, datetime.now(UTC)).write(self._folder, text)
        context = ssl.create_default_context(cafile=str(self._server_ca))
        context.load_cert_chain(certificate, key)
        body: dict[str, Any] = {"router": format_id6(EUI64(eui)), "station": "2.0.6(test)", "model": "linux"}
        if reports_crc is not None:
            body |= {"cupsUri": None, "tcUri": None, "cupsCredCrc": NOTHING_CRC, "tcCredCrc": reports_crc}
        connection = http.client.HTTPSConnection(f"127.0.0.1:{self._port}", context=context, timeout=EVENTUALLY)
        try:
            connection.request("POST", "/update-info", json.dumps(body))
            answer = connection.getresponse()
            return "200" if answer.status == 200 else answer.read().decode("ascii").partition(":")[0]
        except ssl.SSLError as error:
            return f"TLS: {error.reason}"
        except (ConnectionResetError, BrokenPipeError):
            return "closed"
        finally:
            connection.close()
