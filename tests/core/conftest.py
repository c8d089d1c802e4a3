"""Fixtures that several tests of the core share."""

from collections.abc import Iterator

import pytest

from stationkeeper_core.trust import examination
from stationkeeper_core.trust.verification import Path, Verification, verify
from tests.core.asked_paths import Asked


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    paths = Asked()

    def noting(path: Path, seconds: int) -> Verification:
        paths.append(path)
        return verify(path, seconds)

    monkeypatch.setattr(examination, "verify", noting)
    yield paths
