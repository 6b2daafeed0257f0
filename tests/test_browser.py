"""A report in a real browser; skipped in words where no browser is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "browser"))
import browse


@pytest.mark.slow
def test_nothing_is_wrong_with_a_report_in_a_browser(report: Path) -> None:
    if lacking := browse.missing():
        pytest.skip(f"not looked at in a browser: {lacking}")
    assert browse.check(report) == []
