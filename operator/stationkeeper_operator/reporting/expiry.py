"""The condition `Expiring`: certificates of a resource that have expired or soon will. Pure; time passed in.

A message has the dates of certificates, never the remaining days, so that it changes only at a threshold.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from stationkeeper_core.timestamps import rfc3339
from stationkeeper_core.x509.expiry import Stage, stage_of
from stationkeeper_operator.compiling.verdict import Use, Validity

EXPIRING = "Expiring"
NOT_EXPIRING = "NotExpiring"

_SHOWN = 3
_MAX_SERIAL = 64
_TODO = {
    Use.TRUST_ANCHOR: "certificates that it signed are then refused: add its successor beside it, then remove it",
    Use.INTERMEDIATE: "put its successor into intermediates",
    Use.LNS_TRUST: "gateways then refuse the LNS: set the successor in lns",
    Use.LNS_CLIENT: "the LNS then refuses the gateway: renew it",
    Use.CUPS_TRUST: "gateways then refuse that CUPS server: set the successor in cups",
    Use.CUPS_CLIENT: "that CUPS server then refuses the gateway: renew it",
    Use.GATEWAY: "CUPS then refuses the gateway: renew its certificate",
}


_GRAVITY = (NOT_EXPIRING, Stage.WITHIN_30_DAYS, Stage.WITHIN_7_DAYS, Stage.EXPIRED)


def expiring(validities: Collection[Validity], now: datetime) -> tuple[str, str, str] | None:
    """Return the condition.

    Args:
        validities: the validities of all certificates of the resource.
        now: the time, aware.

    Returns:
        Its status, reason and message; None if there is no certificate.
    """
    ordered = sorted(validities, key=lambda each: (each.not_after, each.use, each.name))
    if not ordered:
        return None
    stages = [(stage_of(each.not_before, each.not_after, now), each) for each in ordered]
    near = [each for stage, each in stages if stage is not None]
    if not near:
        return "False", NOT_EXPIRING, f"{_shown(ordered[0])}, before all others"
    # A long-lived certificate may be near its end while a short-lived one, which ends earlier, is not.
    gravest = max((stage.value for stage, _ in stages if stage is not None), key=_gravity)
    return "True", gravest, _message(near, now)


def is_graver(reason: str, than: str | None) -> bool:
    """Return whether the reason `reason` is worse than `than`; None means no condition."""
    return _gravity(reason) > _gravity(than)


def seen_validity(shown: object) -> Validity | None:
    """Return the validity of `status.certificate`, the certificate of the last visit; None if it is not known."""
    if not isinstance(shown, dict) or not isinstance(shown.get("notAfter"), str):
        return None
    not_after, not_before = _time(shown["notAfter"]), _time(shown.get("notBefore"))
    if not_after is None:
        return None
    return Validity(Use.GATEWAY, f"serial {str(shown.get('serial'))[:_MAX_SERIAL]!a}", not_after, not_before)


def _time(shown: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(shown) if isinstance(shown, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None


def _gravity(reason: str | None) -> int:
    return _GRAVITY.index(reason) if reason in _GRAVITY else 0


def _message(near: Sequence[Validity], now: datetime) -> str:
    told = [f"{_shown(each, now)}; {_TODO[each.use]}{_renewal(each)}" for each in near[:_SHOWN]]
    more = [f"and {len(near) - _SHOWN} more"] if len(near) > _SHOWN else []
    return ". ".join([*told, *more])


def _renewal(each: Validity) -> str:
    if not each.renewed_by:
        return ""
    return f" (cert-manager renews it: check that certificates.cert-manager.io {each.renewed_by!a} is Ready)"


def _shown(each: Validity, now: datetime | None = None) -> str:
    word = "expired" if now is not None and each.not_after < now else "expires"
    return f"{each.use} {each.name} {word} at {rfc3339(each.not_after)}"
