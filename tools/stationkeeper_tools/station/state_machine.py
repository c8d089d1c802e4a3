"""The state machine of a Station: what it asks, what it takes from an answer, when it asks again, and with which set.

Sans-I/O: `request` gives bytes; `receive` or `failed` takes the result. `StationState` holds what survives the process.
The set in use and the number of failures do not survive it, as in the real client.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from stationkeeper_core.eui64 import EUI64, eui_asked_by_station
from stationkeeper_tools.station.answer import Answer, parse_answer
from stationkeeper_tools.station.credential_set import Authentication, CredentialSet, split_blob
from stationkeeper_tools.station.faults import StationError, StationFault
from stationkeeper_tools.station.http_answer import HTTP_OK, HttpAnswer
from stationkeeper_tools.station.request import Report, encode_request, key_crcs
from stationkeeper_tools.station.server_uri import MAX_URI_CHARACTERS, ServerAddress, parse_server_uri
from stationkeeper_tools.station.state import Server, SetName, Staged, StationState
from stationkeeper_tools.station.update import UpdateVerdict, judge_update

FAILURES_BEFORE_ROTATION = 6


@dataclass(frozen=True)
class Behaviour:
    """The report of a Station on itself, and its intervals; the default times are those of the real client.

    Attributes:
        station, model: the fields of the request.
        retry_seconds: after a failure, and after an answer that changes the CUPS server.
        interval_seconds: after any other answer.
        lns_connected: while its LNS link is up, a Station waits the interval after failures too.
    """

    station: str = "2.0.6(stationkeeper/simulator)"
    model: str = "simulator"
    retry_seconds: float = 60.0
    interval_seconds: float = 24 * 3600.0
    lns_connected: bool = False


@dataclass(frozen=True)
class Attempt:
    """One request, for a connection of its own.

    Attributes:
        set_name: the credential set in use.
        address: of the server.
        credentials: for TLS.
        report: the content of the request.
        data: head and body; may hold a token.
    """

    set_name: SetName
    address: ServerAddress
    credentials: CredentialSet
    report: Report
    data: bytes

    def __repr__(self) -> str:
        """Return a text without the bytes, which may hold a token."""
        return f"Attempt({self.set_name.label}, {self.address.authority})"


class Result(StrEnum):
    """The result of an attempt."""

    ANSWERED = "Answered"
    REJECTED = "Rejected"
    """A status other than 200."""
    FAILED = "Failed"
    NOT_CONFIGURED = "NotConfigured"
    """The set has no URI, so no request was sent."""
    CRASHED = "Crashed"
    """A real Station would have crashed; this one continues as if it had been started again."""


@dataclass(frozen=True)
class Received:
    """The answer of a server, and what the Station took from it.

    Attributes:
        status: of the answer.
        refusal: the body if the status is not 200.
        answer: the answer if the status is 200, as far as it could be read.
        credentials: the credentials of the answer that the Station accepted.
        update: the verdict on the answer's update.
        backed_up: the regular set was copied to the BAK set.
    """

    status: int
    refusal: bytes = b""
    answer: Answer | None = None
    credentials: dict[Server, CredentialSet] = field(default_factory=dict)
    update: UpdateVerdict | None = None
    backed_up: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt, and what comes next.

    Attributes:
        result: the result.
        set_name: the set that was used.
        received: the answer; None if there was none.
        faults: what went wrong, and what will go wrong.
        crcs_before, crcs_after: of the regular sets.
        reconnects: the answer changes the CUPS server or its credentials.
        restarts_lns: the answer changes the LNS or its credentials.
        next_set: the set of the next attempt.
        next_seconds: the time until the next attempt.
    """

    result: Result
    set_name: SetName
    received: Received | None
    faults: tuple[StationError, ...]
    crcs_before: dict[Server, int]
    crcs_after: dict[Server, int]
    reconnects: bool
    restarts_lns: bool
    next_set: SetName
    next_seconds: float


class Station:
    """One gateway.

    Args:
        eui: of the gateway; like the real client, it reads an EUI with 16 zero bits at the top as a MAC.
        state: its files.
        behaviour: what it reports, and how often it asks.
    """

    def __init__(self, eui: EUI64, state: StationState, behaviour: Behaviour | None = None) -> None:
        self.eui = eui_asked_by_station(eui)
        self.state = state
        self.behaviour = behaviour or Behaviour()
        self.set_name = SetName.REGULAR
        self.failures = 0

    def request(self) -> Attempt:
        """Return the next request.

        Raises:
            StationError: the set in use allows no request; give the error to `failed`.
        """
        uri = self.state.uri(Server.CUPS, self.set_name)
        if uri is None:
            raise StationError(StationFault.NO_URI, f"the {self.set_name.label} set has no CUPS URI")
        address = parse_server_uri(uri.decode("latin-1"), Server.CUPS.scheme)
        credentials = self.state.credentials(Server.CUPS, self.set_name) if address.tls else CredentialSet()
        if address.tls and credentials.authentication is Authentication.NONE:
            raise StationError(StationFault.NO_TRUST, f"the {self.set_name.label} set has no trust for {uri!a}")
        report = self._report()
        data = encode_request(address, report, credentials.header_lines)
        return Attempt(self.set_name, address, credentials, report, data)

    def receive(self, http: HttpAnswer) -> Outcome:
        """Take the answer to the last request, and return the outcome."""
        if http.status != HTTP_OK:
            return self._end(Result.REJECTED, (), Received(http.status, refusal=http.body))
        before = self._crcs()
        backed_up = self.set_name is SetName.REGULAR and self.state.back_up(Server.CUPS)
        try:
            answer = parse_answer(http)
        except StationError as error:
            return self._end(Result.FAILED, (error,), Received(http.status, backed_up=backed_up))
        credentials, faults = _accepted(answer) if answer.takes_effect else ({}, ())
        self.state.stage(
            {
                Server.CUPS: Staged(answer.cups_uri, credentials.get(Server.CUPS)),
                Server.LNS: Staged(answer.tc_uri, credentials.get(Server.LNS)),
            }
        )
        if answer.takes_effect:
            self.state.commit()
        verdict = self._verdict(answer)
        received = Received(http.status, b"", answer, credentials, verdict, backed_up)
        if answer.fault:
            return self._end(Result.FAILED, (answer.fault, *faults), received, before)
        return self._end(Result.ANSWERED, faults, received, before)

    def failed(self, error: StationError) -> Outcome:
        """Take the failure of the last request, which got no answer or could not be sent, and return the outcome."""
        results = {
            StationFault.NO_URI: Result.NOT_CONFIGURED,
            StationFault.ERROR_BODY_TOO_LARGE: Result.CRASHED,
        }
        return self._end(results.get(error.fault, Result.FAILED), (error,))

    def _end(
        self,
        result: Result,
        faults: tuple[StationError, ...],
        received: Received | None = None,
        crcs_before: dict[Server, int] | None = None,
    ) -> Outcome:
        used = self.set_name
        answer = received.answer if received and result is Result.ANSWERED else None
        reconnects = bool(answer and (answer.cups_uri or answer.cups_credentials))
        restarts_lns = bool(answer and (answer.tc_uri or answer.tc_credentials))
        self._move(result)
        crcs_after = self._crcs()
        return Outcome(
            result=result,
            set_name=used,
            received=received,
            faults=faults,
            crcs_before=crcs_before or crcs_after,
            crcs_after=crcs_after,
            reconnects=reconnects,
            restarts_lns=restarts_lns,
            next_set=self.set_name,
            next_seconds=self._wait(settled=bool(answer) and not reconnects, restarts_lns=restarts_lns),
        )

    def _move(self, result: Result) -> None:
        if result in {Result.ANSWERED, Result.CRASHED}:
            self.set_name, self.failures = SetName.REGULAR, 0
            return
        if result in {Result.REJECTED, Result.NOT_CONFIGURED} or self.failures > FAILURES_BEFORE_ROTATION:
            self.set_name = self.set_name.next
        self.failures += 1

    def _wait(self, *, settled: bool, restarts_lns: bool) -> float:
        behaviour = self.behaviour
        if settled or (behaviour.lns_connected and not restarts_lns):
            return behaviour.interval_seconds
        return behaviour.retry_seconds

    def _verdict(self, answer: Answer) -> UpdateVerdict | None:
        if not answer.update or answer.fault:
            return None
        return judge_update(answer.update, answer.der_signature, self.state.signature_keys())

    def _report(self) -> Report:
        crcs = self._crcs()
        return Report(
            eui=self.eui,
            cups_uri=self.state.uri(Server.CUPS, SetName.REGULAR),
            tc_uri=self.state.uri(Server.LNS, SetName.REGULAR),
            cups_credentials_crc=crcs[Server.CUPS],
            tc_credentials_crc=crcs[Server.LNS],
            station=self.behaviour.station,
            model=self.behaviour.model,
            package=self.state.package,
            keys=key_crcs(self.state.signature_keys()),
        )

    def _crcs(self) -> dict[Server, int]:
        return {server: self.state.credentials(server, SetName.REGULAR).crc for server in Server}


def _accepted(answer: Answer) -> tuple[dict[Server, CredentialSet], tuple[StationError, ...]]:
    """Return the credentials that a Station takes from `answer`, and the faults of the others and of the URIs."""
    accepted: dict[Server, CredentialSet] = {}
    faults: list[StationError] = []
    for server, uri, blob in (
        (Server.CUPS, answer.cups_uri, answer.cups_credentials),
        (Server.LNS, answer.tc_uri, answer.tc_credentials),
    ):
        if uri:
            faults += _uri_faults(server, uri)
        if blob:
            try:
                accepted[server] = split_blob(blob)
            except StationError as error:
                faults.append(StationError(error.fault, f"{server} credentials: {error.detail}"))
    return accepted, tuple(faults)


def _uri_faults(server: Server, uri: bytes) -> list[StationError]:
    if len(uri) > MAX_URI_CHARACTERS:
        detail = f"{server} URI has {len(uri)} characters, a Station reads at most {MAX_URI_CHARACTERS}"
        return [StationError(StationFault.URI_TOO_LONG, f"{detail}, so it does not use this one")]
    try:
        parse_server_uri(uri.decode("latin-1"), server.scheme)
    except StationError as error:
        return [StationError(error.fault, f"{server} URI: {error.detail}; a Station exits at its next start")]
    return []
