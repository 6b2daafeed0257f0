"""What happens to an answer on its way: cut, refused, lost, hung; the same rows in the end, or an error in words."""

from __future__ import annotations

import time
from typing import Any

import pytest
from archive_client import Client, little, user, whole
from faulty_archive.faults import ALWAYS
from hypothesis import given
from hypothesis import strategies as st
from skysy.loaders.archive import wire
from skysy.loaders.archive.wire import retry_after

from skysy.errors import ArchiveRefused, ArchiveUnreachable

__all__ = ["little", "user", "whole"]
pytestmark = pytest.mark.slow


ROWS = r"^SELECT x\.[^;]*FROM dr2\.images"
PASSING: list[tuple[str, dict[str, Any]]] = [
    ("cut_with_length", {}),
    ("cut_without_length", {}),
    ("cut_chunked", {}),
    ("cut_without_length", {"at_line": True, "fraction": 0.9}),
    ("reset", {}),
    ("reset", {"fraction": 0.5}),
    ("status", {"code": 429, "retry_after": 0}),
    ("status", {"code": 503, "retry_after": 0}),
    ("status", {"code": 503, "retry_after_date": 0}),
    ("status", {"code": 500}),
    ("status", {"code": 504}),
    ("html_200", {}),
    ("empty_body", {}),
    ("garbage_gzip", {}),
    ("gzip", {}),
]


@pytest.mark.parametrize(("kind", "details"), PASSING)
def test_an_answer_that_is_spoilt_once_is_asked_for_again(
    user: Client, whole: dict[str, str], kind: str, details: dict[str, Any]
) -> None:
    fault = user.archive.fault(kind, "tap.sync", matching=ROWS, **details)
    user.load("--route", "images")
    assert fault.fired == 1
    assert user.hashes("images").items() <= whole.items()


@pytest.mark.parametrize(
    ("kind", "details"),
    [("cut_without_length", {}), ("html_200", {}), ("empty_body", {}), ("reset", {}), ("status", {"code": 503})],
)
def test_an_answer_that_is_always_spoilt_is_an_error_and_the_same_command_works_when_it_is_not(
    user: Client, whole: dict[str, str], kind: str, details: dict[str, Any]
) -> None:
    user.archive.fault(kind, "tap.sync", matching=ROWS, times=ALWAYS, **details)
    error = user.fails("--route", "images", "--route", "distances")
    assert "image_id 100 to 159" in error.message or "/tap/sync" in error.message
    assert "skymapper" in error.message.lower()
    assert error.remedy
    assert user.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 0}]
    user.archive.heal()
    user.load("--route", "images")
    assert user.hashes("images").items() <= whole.items()


def test_a_count_that_is_a_web_page_is_told_as_that(user: Client) -> None:
    user.archive.fault("html_200", "tap.sync", matching="COUNT", times=ALWAYS)
    assert "it is a web page, no VOTable" in user.fails("--route", "images").message
    user.archive.heal()
    user.load("--route", "images")


def test_retry_after_is_waited_out_by_every_thread(user: Client) -> None:
    user.archive.fault("status", "tap.sync", matching=ROWS, code=429, retry_after=1)
    user.load("--route", "images")
    refused = next(one for one in user.archive.requests if one.status == 429)
    later = [one.started - refused.started for one in user.archive.requests if one.started > refused.started]
    assert min(later) >= 0.99


@pytest.mark.parametrize("skew_s", [-86_400, 86_400])
def test_retry_after_as_a_date_is_read_by_the_services_own_clock(user: Client, skew_s: float) -> None:
    user.archive.fault("clock_skew", times=ALWAYS, seconds=skew_s)
    user.archive.fault("status", "tap.sync", matching=ROWS, code=503, retry_after_date=1)
    began = time.monotonic()
    user.load("--route", "images")
    assert time.monotonic() - began < 30
    refused = next(one for one in user.archive.requests if one.status == 503)
    assert min(one.started - refused.started for one in user.archive.requests if one.started > refused.started) > 0.0


def test_a_wait_that_is_too_long_is_told_instead(user: Client) -> None:
    user.archive.fault("status", "tap.sync", matching=ROWS, code=503, retry_after=7200, times=ALWAYS)
    assert "asks to wait 120 minutes" in user.fails("--route", "images").message


@given(seconds=st.integers(0, 10**9))
def test_retry_after_in_seconds_is_those_seconds(seconds: int) -> None:
    assert retry_after({"Retry-After": f" {seconds} "}) == seconds


@given(text=st.text(max_size=40))
def test_retry_after_of_any_text_is_a_wait_or_nothing(text: str) -> None:
    found = retry_after({"Retry-After": text, "Date": text[::-1]})
    assert found is None or found >= 0


@given(attempt=st.integers(0, 200))
def test_the_wait_between_tries_is_bounded(attempt: int) -> None:
    assert 0 <= wire._back_off(attempt) <= min(wire._LONGEST_WAIT_S, wire._FIRST_WAIT_S * 2 ** min(attempt, 20))


def test_a_ban_stops_everything_at_once(user: Client) -> None:
    user.archive.fault("ban_403", "tap.sync", matching=ROWS, times=ALWAYS)
    error = user.fails("--route", "images")
    assert isinstance(error, ArchiveRefused)
    assert "refuses this address (HTTP 403" in error.message
    refused = [place for place, one in enumerate(user.archive.requests) if one.status == 403]
    assert refused == [len(user.archive.requests) - 1]


def test_a_ban_while_several_ask_is_not_answered_by_more_requests(user: Client) -> None:
    user.archive.fault("ban_403", times=ALWAYS, matching="ext|dr2", on="uws.*")
    user.fails("--route", "sample")
    assert len([one for one in user.archive.requests if one.status == 403]) <= 2  # those that were on their way


def test_an_answer_that_hangs_is_given_up_and_asked_for_again(user: Client, whole: dict[str, str]) -> None:
    user.configure(timeout_s=0.5)
    user.archive.fault("hang", "tap.sync", matching=ROWS, seconds=30.0)
    user.archive.fault("hang", "tap.sync", matching=ROWS, seconds=30.0, fraction=0.5, after=1)
    began = time.monotonic()
    user.load("--route", "images")
    assert time.monotonic() - began < 15
    assert user.hashes("images").items() <= whole.items()


def test_a_service_that_always_hangs_is_an_error_with_the_seconds(user: Client) -> None:
    user.configure(timeout_s=0.3, tries=2)
    user.archive.fault("hang", "tap.sync", matching=ROWS, seconds=30.0, times=ALWAYS)
    error = user.fails("--route", "images")
    assert isinstance(error, ArchiveUnreachable)
    assert "nothing came for 0.3 s" in error.message


def test_an_answer_that_trickles_without_end_is_cut_into_pieces_and_then_told(user: Client) -> None:
    user.configure(job_s=0.2)
    user.archive.fault("slow", "tap.sync", matching=ROWS, bytes_per_s=2000, times=ALWAYS)
    began = time.monotonic()
    error = user.fails("--route", "images")
    assert "too small to be split" in error.message
    assert time.monotonic() - began < 60


def test_a_service_that_is_not_there_is_an_error_with_its_address(user: Client) -> None:
    user.configure(url="http://127.0.0.1:9/tap")
    error = user.fails("--route", "images")
    assert isinstance(error, ArchiveUnreachable)
    assert "127.0.0.1:9" in error.message
