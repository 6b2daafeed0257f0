"""Which exposures make up a colour sequence: the SQL against a plain loop, and every shape of visit by name.

A sequence is u v g r u v i z u v, 100 s each, start to start 120 s (SkyMapper Southern Sky Survey's page).
"""

from __future__ import annotations

from typing import Any

import independent
import pytest
from conftest import COLOUR_SEQUENCE, MINUTE_D, Laboratory, Row, detection, exposures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATE = 57000.55


def by_sql(laboratory: Laboratory, images: list[Row]) -> dict[int, int]:
    """image_id -> sequence_id by the SQL."""
    laboratory.put({"dr2.images": images})
    rows = laboratory.rows("SELECT image_id, sequence_id FROM int_sequences__exposures")
    return {row["image_id"]: row["sequence_id"] for row in rows}


def by_loop(images: list[Row]) -> dict[int, int]:
    """image_id -> sequence_id by the loop."""
    names = ("image_id", "field_id", "date", "filter", "image_type", "exp_time")
    return independent.sequences(*([image[name] for image in images] for name in names))


def shifted(images: list[Row], minutes: float, image_id: int) -> list[Row]:
    """The same exposures later and with other ids."""
    return [
        {**image, "date": image["date"] + minutes * MINUTE_D, "image_id": image_id + place}
        for place, image in enumerate(images)
    ]


def visit(first: int, filters: str, after_min: float = 0.0, **others: Any) -> list[Row]:
    """Exposures that start `after_min` minutes after DATE."""
    return list(exposures(first, filters, DATE + after_min * MINUTE_D, **others))


# name: (exposures, the filters of each sequence in order of time)
SHAPES: dict[str, tuple[list[Row], list[str]]] = {
    "a whole sequence": (visit(1, COLOUR_SEQUENCE), [COLOUR_SEQUENCE]),
    "a gap of two exposures inside": (
        [image for image in visit(1, COLOUR_SEQUENCE) if image["image_id"] not in (4, 5)],
        ["uvgvizuv"],
    ),
    "cut short after four exposures": (visit(1, "uvgr"), ["uvgr"]),
    "cut short at the start": (visit(1, "ruvizuv"), ["ruvizuv"]),
    "two back to back": (visit(1, COLOUR_SEQUENCE * 2), [COLOUR_SEQUENCE] * 2),
    "three back to back": (visit(1, COLOUR_SEQUENCE * 3), [COLOUR_SEQUENCE] * 3),
    "broken off after u v g r and begun anew": (visit(1, "uvgr" + COLOUR_SEQUENCE), ["uvgr", COLOUR_SEQUENCE]),
    "a fragment v u v v": (visit(1, "vuvv"), ["uvv"]),
    "pairs in g and r after it, without a pause": (visit(1, COLOUR_SEQUENCE + "grgr"), [COLOUR_SEQUENCE]),
    "a pair in i and z before it, without a pause": (
        visit(1, "iz" + COLOUR_SEQUENCE),
        [COLOUR_SEQUENCE],
    ),
    "broken off after the z and begun anew": (
        visit(1, "uvgruviz" + COLOUR_SEQUENCE),
        ["uvgruviz", COLOUR_SEQUENCE],
    ),
    "broken off after the z and begun anew after five minutes": (
        visit(1, "uvgruviz") + visit(11, COLOUR_SEQUENCE, 14 + 5),
        ["uvgruviz", COLOUR_SEQUENCE],
    ),
    "pairs in i and z before it, with a pause": (visit(1, "iziz") + visit(11, COLOUR_SEQUENCE, 40), [COLOUR_SEQUENCE]),
    "pairs in g and r alone": (visit(1, "grgr"), []),
    "pairs in i and z alone": (visit(1, "iziz"), []),
    "the next visit ten minutes and a half later": (
        visit(1, "uvgr") + visit(11, "uizu", 6 + 10.5),
        ["uvgr", "uizu"],
    ),
    "an interruption of nine minutes and a half": (visit(1, "uvgr") + visit(11, "uvizuv", 6 + 9.5), ["uvgruvizuv"]),
    "two fields in turns": (
        visit(1, COLOUR_SEQUENCE) + visit(21, COLOUR_SEQUENCE, 1.0, field_id=2),
        [COLOUR_SEQUENCE] * 2,
    ),
    "exposures of 300 s": (visit(1, "uvuvuv", exp_time=300.0, step_min=5.4), []),
    "an exposure of 300 s among those of 100 s": (
        visit(1, COLOUR_SEQUENCE) + visit(21, "u", 21.0, exp_time=300.0),
        [COLOUR_SEQUENCE],
    ),
    "the Shallow Survey": (visit(1, "uvgriz", image_type="fs", exp_time=40.0), []),
    "a standard field": (visit(1, "uvgriz", image_type="std", exp_time=20.0), []),
    "bad images": (visit(1, COLOUR_SEQUENCE, image_type="bad"), []),
    "no field": (visit(1, COLOUR_SEQUENCE, field_id=None), []),
    "no date": ([{**image, "date": None} for image in visit(1, COLOUR_SEQUENCE)], []),
    "a single u right after it": (visit(1, COLOUR_SEQUENCE + "u"), [COLOUR_SEQUENCE, "u"]),
    "twelve exposures in one go": (visit(1, "uvgruvizuizu"), ["uvgruvizui", "zu"]),
    "u repeated before a sequence": (visit(1, "uuuuvgr"), ["uuu", "uvgr"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_visit_gives_its_sequences(laboratory: Laboratory, name: str) -> None:
    images, wanted = SHAPES[name]
    found = by_sql(laboratory, images)
    bands = {image["image_id"]: image["filter"] for image in images}
    groups: dict[int, str] = {}
    for image_id in sorted(found):
        groups[found[image_id]] = groups.get(found[image_id], "") + bands[image_id]
    assert [groups[first] for first in sorted(groups)] == wanted
    assert all(first == min(image for image, of in found.items() if of == first) for first in groups)
    assert found == by_loop(images)


def test_a_sequence_across_midnight_ut_is_one_and_its_night_the_images_own(laboratory: Laboratory) -> None:
    images = exposures(1, COLOUR_SEQUENCE, 57000.995, night_mjd=57000)
    assert int(images[0]["date"]) == 57000
    assert int(images[-1]["date"]) == 57001
    magnitudes = {"u": 15.0, "v": 14.7, "g": 13.0}
    rows = [detection(7, image, magnitudes[image["filter"]], 0.01) for image in images if image["filter"] in "uvg"]
    laboratory.put({"dr2.images": images, "dr2.photometry": rows})
    [sequence] = laboratory.rows("FROM sequences")
    assert (sequence["night_mjd"], sequence["n_u"], sequence["filters"]) == (57000, 3, COLOUR_SEQUENCE)
    assert sequence["is_complete"]
    assert sequence["span_min"] == pytest.approx(18.0, abs=1e-6)
    [night] = laboratory.rows("FROM nightly_colours")
    assert (night["night_mjd"], night["n_u"]) == (57000, 3)
    [rapid] = laboratory.rows("FROM rapid_variability")
    assert (rapid["n_u"], rapid["n_sequences"]) == (3, 1)


def test_sequences_says_what_each_is_made_of(laboratory: Laboratory) -> None:
    laboratory.put({"dr2.images": visit(101, COLOUR_SEQUENCE) + visit(201, "uvgr", 60.0)})
    whole, short = laboratory.rows("FROM sequences ORDER BY sequence_id")
    assert (whole["sequence_id"], whole["n_exposures"], whole["n_u"], whole["is_complete"]) == (
        101,
        10,
        3,
        True,
    )
    assert (short["sequence_id"], short["n_exposures"], short["n_u"], short["is_complete"]) == (
        201,
        4,
        1,
        False,
    )
    assert short["filters"] == "uvgr"


def test_a_sequence_keeps_its_id_when_later_images_come(laboratory: Laboratory) -> None:
    first = visit(1, COLOUR_SEQUENCE)
    before = by_sql(laboratory, first)
    after = by_sql(laboratory, first + visit(21, COLOUR_SEQUENCE, 20.0) + visit(41, "grgr", 300.0))
    assert {image: after[image] for image in before} == before


BLOCKS = [
    COLOUR_SEQUENCE, COLOUR_SEQUENCE, COLOUR_SEQUENCE * 2, "uvgr", "uvgruv", "vuvv", "uvgr" + COLOUR_SEQUENCE,
    "gr", "grgr", "iz", "iziz", "iz" + COLOUR_SEQUENCE, COLOUR_SEQUENCE + "gr", COLOUR_SEQUENCE + "grgr", "uuuu", "uvuvuv", "uvgriz", "u", "v",
]  # fmt: skip
PAUSES_MIN = [2.0, 2.0, 2.9, 3.0, 3.1, 9.9, 10.0, 10.1, 25.0, 600.0]


@st.composite
def timelines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One field's exposures in order, without ids: blocks and pauses, with exposures missing, of other kinds, undated."""
    field_id = draw(st.sampled_from([1, 2, 3, None]))
    date = draw(st.sampled_from([57000.40, 57000.99, 57000.4007, 57003.5]))
    rows: list[dict[str, Any]] = []
    for block in draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4)):
        kind, exp_time = draw(
            st.sampled_from([("ms", 100.0)] * 6 + [("ms", 300.0), ("ms", None), ("fs", 40.0), ("std", 20.0), ("bad", 100.0), (None, 100.0)])
        )  # fmt: skip
        step = draw(st.sampled_from([1.5, 2.0, 2.0, 2.5, 3.0, 3.2, 5.4]))
        missing = draw(st.sets(st.integers(0, len(block) - 1), max_size=3))
        for place, band in enumerate(block):
            if place not in missing:
                rows.append(
                    {
                        "field_id": field_id,
                        "date": date,
                        "filter": band,
                        "image_type": kind,
                        "exp_time": exp_time,
                    }
                )
            date += step * MINUTE_D
        date += (draw(st.sampled_from(PAUSES_MIN)) - step) * MINUTE_D
    if rows and draw(st.integers(0, 9)) == 0:
        rows[draw(st.integers(0, len(rows) - 1))]["date"] = None
    return rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(timelines(), min_size=1, max_size=4), late=st.booleans())
def test_sequences_of_any_schedule_equal_the_loop(
    laboratory: Laboratory, parts: list[list[dict[str, Any]]], late: bool
) -> None:
    rows = sorted((row for part in parts for row in part), key=lambda row: row["date"] or 0.0)
    images = [
        {**row, "image_id": 20141209000000 + place, "night_mjd": int(row["date"] or 57000)}
        for place, row in enumerate(rows)
    ]
    images = images[::-1] if late else images
    assert by_sql(laboratory, list(images)) == by_loop(list(images))


def test_all_pairs_of_a_sequence_with_more_than_three_u_are_compared(laboratory: Laboratory) -> None:
    """Four u with the largest change between the first and the last: windows of the last two would miss it."""
    images = visit(1, "uiuiuizu")
    u = [image for image in images if image["filter"] == "u"]
    mags = [15.0, 15.1, 15.2, 15.3]
    laboratory.put(
        {
            "dr2.images": images,
            "dr2.photometry": [detection(7, image, mag, 0.01) for image, mag in zip(u, mags, strict=True)],
        }
    )
    [rapid] = laboratory.rows("FROM rapid_variability")
    assert (rapid["image_id_i"], rapid["image_id_j"], rapid["n_u"]) == (1, 8, 4)
    assert rapid["rapid_u_sigma"] == pytest.approx(0.3 / (0.01 * 2**0.5), abs=1e-9)
