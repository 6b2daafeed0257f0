"""What happens to jobs: phases, lost answers, vanished jobs, failed removals; no query runs twice, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from archive_client import BINARY2, Client, little, user, whole
from faulty_archive import FaultyArchive
from faulty_archive.faults import ALWAYS
from skysy.loaders.archive import uws

from skysy.errors import QueryFailed

__all__ = ["little", "user", "whole"]
pytestmark = pytest.mark.slow

SAMPLE = ("--route", "sample")
PASSING: list[tuple[str, dict[str, Any]]] = [
    ("phase", {"phase": "HELD"}),
    ("phase", {"phase": "SUSPENDED"}),
    ("phase", {"phase": "QUEUED"}),
    ("phase", {"phase": "UNKNOWN"}),
    ("phase", {"phase": "ARCHIVED"}),
    ("phase", {"phase": "ERROR", "message": "the disk of the service is full"}),
    ("phase", {"phase": "ABORTED"}),
    ("job_destroyed", {}),
    ("job_destroyed", {"on": r"uws\.job"}),
    ("lost_answer", {}),
    ("reset", {"on": r"uws\.job"}),
    ("reset", {"on": r"uws\.phase"}),
    ("status", {"on": r"uws\.job", "code": 503, "retry_after": 0}),
    ("status", {"on": r"uws\.create", "code": 503, "retry_after": 0}),
    ("status", {"on": r"uws\.create", "code": 500}),
    ("html_200", {"on": r"uws\.job"}),
    ("html_200", {"on": r"uws\.result"}),
    ("html_200", {"on": r"uws\.create"}),
    ("cut_without_length", {"on": r"uws\.result"}),
    ("cut_with_length", {"on": r"uws\.result"}),
    ("relative_location", {"times": ALWAYS}),
    ("error_after_rows", {"on": r"uws\.result"}),
    ("overflow", {"on": r"uws\.result"}),
]


def sweep_jobs(archive: FaultyArchive) -> None:
    for job in archive.jobs:
        archive._taps[0].jobs.destroy(job)


@pytest.mark.parametrize(("kind", "details"), PASSING)
def test_a_job_that_goes_wrong_once_gives_the_same_rows(
    user: Client, whole: dict[str, str], kind: str, details: dict[str, Any]
) -> None:
    sweep_jobs(user.archive)
    fault = user.archive.fault(kind, **details)
    told = user.load(*SAMPLE).stdout
    assert fault.fired >= 1
    assert user.hashes("sample").items() <= whole.items()
    assert [line.split("asked")[1].split()[0] for line in told.splitlines()] == ["8"] * 4
    assert all(f"got {8:>12,} rows" in line for line in told.splitlines())


def test_the_lost_answer_of_a_creating_post_makes_no_second_job(user: Client) -> None:
    sweep_jobs(user.archive)
    user.archive.fault("lost_answer", times=2)
    user.load(*SAMPLE)
    assert len(user.archive.asked("uws.create")) == 4
    assert user.archive.jobs == []


def test_the_lost_answer_where_jobs_have_no_marks_runs_no_query_twice(user: Client, whole: dict[str, str]) -> None:
    sweep_jobs(user.archive)
    user.archive.fault("lost_answer", times=1)
    user.archive.fault("anonymous_jobs", times=ALWAYS)
    user.load(*SAMPLE)
    assert user.hashes("sample").items() <= whole.items()
    assert [job.phase for job in user.archive.jobs] == ["PENDING"]  # the job that nobody knows of never ran
    sweep_jobs(user.archive)


@pytest.mark.parametrize("phase", ["ERROR", "ARCHIVED", "CONFUSED"])
def test_jobs_that_always_end_without_a_result_are_an_error_with_the_services_words(user: Client, phase: str) -> None:
    user.archive.fault("phase", phase=phase, message="no such luck", times=ALWAYS)
    error = user.fails(*SAMPLE)
    assert isinstance(error, QueryFailed)
    assert f"ended as {phase}" in error.message
    assert ", ra 0 to 360, dec -90 to 10 deg: " in error.message
    if phase != "CONFUSED":
        assert "no such luck" in error.message
    assert user.rows("SELECT count(*) AS n FROM dr2.master") == [{"n": 0}]
    user.archive.heal()
    user.load(*SAMPLE)


@pytest.mark.slow
def test_jobs_that_are_always_aborted_are_given_up_after_a_bounded_number(user: Client) -> None:
    user.archive.fault("phase", phase="ABORTED", times=ALWAYS)
    error = user.fails(*SAMPLE)
    assert "too small to be split" in error.message
    assert len(user.archive.asked("uws.create")) < 400


def test_a_job_that_does_not_end_is_kept_and_looked_at_again(user: Client, whole: dict[str, str]) -> None:
    user.configure(job_s=0.5)
    user.archive.fault("phase", phase="SUSPENDED", times=ALWAYS)
    error = user.fails(*SAMPLE)
    assert "is still SUSPENDED after 0.5 s" in error.message
    assert "the same command looks at it again" in error.remedy
    made = len(user.archive.asked("uws.create"))
    user.archive.heal()
    user.configure(job_s=60.0)
    user.load(*SAMPLE)
    assert len(user.archive.asked("uws.create")) == made
    assert user.hashes("sample").items() <= whole.items()


def test_jobs_in_a_queue_that_nobody_moves_are_made_again(
    user: Client, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user.configure(job_s=3.0)
    sweep_jobs(user.archive)
    look, stuck = uws.Jobs.look, list[str]()

    def stuck_look(jobs: uws.Jobs, url: str) -> uws.Job:
        if url not in stuck and len(stuck) < 2:
            stuck.append(url)
        job = look(jobs, url)
        return replace(job, phase="QUEUED") if url in stuck and job.phase != uws.GONE else job

    monkeypatch.setattr(uws.Jobs, "look", stuck_look)
    user.load(*SAMPLE)
    assert len(user.archive.asked("uws.create")) == 6
    assert user.archive.jobs == []
    assert user.hashes("sample").items() <= whole.items()


def test_a_queue_that_never_moves_is_an_error_that_says_so(user: Client, whole: dict[str, str]) -> None:
    user.configure(job_s=0.2)
    user.archive.fault("phase", phase="QUEUED", times=ALWAYS)
    error = user.fails(*SAMPLE)
    assert "stood in the queue for 0.2 s" in error.message
    user.archive.heal()
    user.configure()
    user.load(*SAMPLE)
    assert user.hashes("sample").items() <= whole.items()


def test_a_service_that_goes_away_while_a_job_runs_leaves_the_job_to_the_next_load(
    user: Client, whole: dict[str, str]
) -> None:
    user.archive.fault("reset", r"uws\.job", times=ALWAYS)
    user.fails(*SAMPLE)
    made = [one.query for one in user.archive.asked("uws.create")]
    user.archive.heal()
    user.load(*SAMPLE)
    again = [one.query for one in user.archive.asked("uws.create")]
    assert len(again) == len(set(again)) == 4
    assert set(made) <= set(again)
    assert user.hashes("sample").items() <= whole.items()


def test_pages_in_the_place_of_a_job_end_the_wait_and_keep_the_job(user: Client) -> None:
    user.archive.fault("html_200", r"uws\.job", times=ALWAYS)
    assert "no job's document" in user.fails(*SAMPLE).message
    user.archive.heal()
    user.load(*SAMPLE)
    assert len(user.archive.asked("uws.create")) == 4


def test_a_job_destroyed_before_it_is_fetched_is_asked_again_after_a_stop_too(
    user: Client, whole: dict[str, str]
) -> None:
    user.archive.fault("reset", r"uws\.job", times=ALWAYS)
    user.fails(*SAMPLE)
    user.archive.heal()
    sweep_jobs(user.archive)
    user.load(*SAMPLE)
    assert user.hashes("sample").items() <= whole.items()


def test_a_removal_that_fails_loses_nothing_and_is_tried_at_a_later_load(user: Client, whole: dict[str, str]) -> None:
    sweep_jobs(user.archive)
    user.archive.fault("delete_fails", times=ALWAYS)
    user.load(*SAMPLE)
    assert user.hashes("sample").items() <= whole.items()
    assert len(user.archive.jobs) == 4
    user.archive.heal()
    user.load(*SAMPLE)
    assert user.archive.jobs == []
    assert user.rows("SELECT count(*) AS n FROM meta.job WHERE deleted_at IS NULL") == [{"n": 0}]


def test_a_job_that_takes_too_long_is_cut_into_pieces(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("timeout", rows_over=3, times=ALWAYS, matching=r"SELECT [mx]\.")
    told = user.load(*SAMPLE).stdout
    assert "parts split" in told
    assert user.hashes("sample").items() <= whole.items()
    assert user.rows("SELECT count(*) AS n FROM meta.chunk WHERE state NOT IN ('loaded', 'split')") == [{"n": 0}]


def test_a_query_at_once_that_takes_too_long_is_cut_into_pieces(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("timeout", rows_over=25, times=ALWAYS, matching=r"SELECT x\.")
    assert "parts split" in user.load("--route", "images").stdout
    assert user.hashes("images").items() <= whole.items()


def test_a_count_that_takes_too_long_is_cut_into_pieces(user: Client, whole: dict[str, str]) -> None:
    user.archive.fault("timeout", times=3, matching="COUNT")
    user.load("--route", "images")
    assert user.hashes("images").items() <= whole.items()


def test_overflow_cuts_until_the_pieces_fit_and_the_cut_answers_are_not_kept(
    user: Client, whole: dict[str, str], little: FaultyArchive
) -> None:
    user.configure(max_rows=50, format=BINARY2)
    user.archive.fault("overflow", times=2, rows=1, matching=r"SELECT x\.")
    user.load("--route", "images")
    assert user.hashes("images").items() <= whole.items()
    user.settings.database.unlink()
    user.load("--offline")
    assert user.hashes("images").items() <= whole.items()


def test_a_limit_that_the_service_tells_is_kept_to(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from archive_client import a_user, little_tables

    with FaultyArchive(little_tables(), most_rows=20) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            client.configure(max_rows=1_000_000)
            client.load("--route", "images")
            assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 60}]
            assert client.rows("SELECT count(*) AS n FROM meta.chunk WHERE state = 'split'") == [{"n": 0}]


def test_a_limit_that_the_service_does_not_tell_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from archive_client import a_user, little_tables

    with FaultyArchive(little_tables(), most_rows=20) as archive:
        for client in a_user(archive, tmp_path, monkeypatch):
            archive.fault("not_found", r"tap\.capabilities", times=ALWAYS)
            client.configure(max_rows=1_000_000)
            client.load("--route", "images")
            assert client.rows("SELECT count(*) AS n FROM dr2.images") == [{"n": 60}]
