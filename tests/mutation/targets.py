"""The modules to mutate, and the tests that must notice it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Modules that make one decision.

    Attributes:
        modules: from an import root, such as `stationkeeper_core/policy/authorization.py`.
        tests: files and folders; a mutant survives if all of them pass.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


_CORE = "stationkeeper_core"
_JUDGING = tuple(
    f"tests/core/test_{name}.py"
    for name in (
        *("judging", "same_name_cas", "trust_budget", "near_misses", "strength", "presented_intermediates"),
        *("client_certificate", "holders", "tenancy", "snapshot", "revocation", "revocation_by_crl"),
        *("judgement", "refused_client", "seed_procedure", "verification", "path_cost", "judging_in_detail"),
    )
)

TARGETS = {
    "authorization": Target(
        (f"{_CORE}/policy/authorization.py",),
        (
            *("tests/core/test_authorization.py", "tests/core/test_authorization_details.py"),
            "tests/core/test_holders.py",
        ),
    ),
    "judging": Target(
        (
            *(f"{_CORE}/trust/judging.py", f"{_CORE}/trust/path_search.py"),
            *(f"{_CORE}/trust/verification.py", f"{_CORE}/trust/judgement.py"),
        ),
        _JUDGING,
    ),
    "revocation": Target(
        (f"{_CORE}/trust/revocation.py",),
        (
            *("tests/core/test_revocation.py", "tests/core/test_revocation_by_crl.py"),
            *("tests/core/test_certificate_twins.py", "tests/core/test_judging.py"),
        ),
    ),
    "delivery": Target(
        (f"{_CORE}/protocol/delivery.py",),
        ("tests/core/test_delivery.py", "tests/core/test_delivery_parts.py", "tests/core/test_decision.py"),
    ),
    "reductions": Target(
        ("stationkeeper_operator/compiling/retention/reductions.py",),
        ("tests/operator/test_reductions.py", "tests/operator/test_reductions_in_detail.py"),
    ),
}
