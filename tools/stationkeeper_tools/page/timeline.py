"""A time scale with the end of each certificate: the positions of its bars, in percent of the width. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_tools.operating.fleet_status import moment

_YEAR = timedelta(days=365.25)
_LEAST, _MOST = _YEAR, 10 * _YEAR
_MAX_MARKS = 5
_TEXTS = ("subject", "role", "problem", "sha256")


@dataclass(frozen=True)
class Bar:
    """A certificate.

    Attributes:
        subject, role, problem, sha256: the certificate's; `problem` says why it can vouch for no gateway.
        ends: when it ends; None if that cannot be read.
        retained_until: until when it is kept although its source was renewed without it; None if it is not.
        stage: the stage of its expiry; None if the end is far away, or not known.
        width: the width of the bar, which begins now.
        goes_on: whether the certificate ends after the end of the scale.
    """

    subject: str
    role: str
    problem: str
    sha256: str
    ends: datetime | None
    retained_until: datetime | None
    stage: Stage | None
    width: float
    goes_on: bool


@dataclass(frozen=True)
class Mark:
    """A vertical line of the scale: the begin of a year.

    Attributes:
        at: its position.
        year: the year.
    """

    at: float
    year: int


@dataclass(frozen=True)
class Timeline:
    """The timeline of some certificates.

    Attributes:
        bars: in the order of the certificates.
        marks: the marks of the scale.
        until: the end of the scale.
    """

    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    until: datetime


def timeline(certificates: Iterable[Mapping[str, Any]], now: datetime) -> Timeline:
    """Return where the bars of certificates are.

    The scale goes from now to the last end, but for at least one year and at most ten.

    Args:
        certificates: the entries in the status of a TrustedCA.
        now: the time, aware.
    """
    listed = list(certificates)
    ends = [end for each in listed if (end := moment(each.get("notAfter"))) is not None]
    length = min(max([each - now for each in ends] + [_LEAST]), _MOST)
    return Timeline(tuple(_bar(each, now, length) for each in listed), tuple(_marks(now, length)), now + length)


def _bar(certificate: Mapping[str, Any], now: datetime, length: timedelta) -> Bar:
    end = moment(certificate.get("notAfter"))
    subject, role, problem, sha256 = (str(certificate.get(name, "")) for name in _TEXTS)
    retained = moment(certificate.get("retainedUntil"))
    if end is None:
        return Bar(subject, role, problem, sha256, None, retained, None, 0, goes_on=False)
    width = round(100 * min(max((end - now) / length, 0), 1), 1)
    return Bar(
        subject, role, problem, sha256, end, retained, stage_of(None, end, now), width, goes_on=end - now > length
    )


def _marks(now: datetime, length: timedelta) -> Iterable[Mark]:
    years = range(now.year + 1, (now + length).year + 1)
    step = -(-len(years) // _MAX_MARKS) if years else 1
    for year in years[step - 1 :: step]:
        begin = datetime(year, 1, 1, tzinfo=now.tzinfo)
        yield Mark(round(100 * ((begin - now) / length), 1), year)
