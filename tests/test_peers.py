"""LSDB and STILTS find in the exported files what the warehouse holds; run by `make test-peers`, the table of docs/exports.md with it."""

from __future__ import annotations

import json
from pathlib import Path

import exports
import pytest
from conftest import Sky
from exports import Tally
from peers import LSDB, STILTS, ask_lsdb, need_lsdb, need_stilts

from skysy.export import marts
from skysy.hats import export_hats
from skysy.store import Warehouse, open_warehouse

pytest_plugins = ("export_fixtures",)
pytestmark = pytest.mark.slow

VALID = """
import json, sys
from hats.io.validation import is_valid_catalog
if __name__ == "__main__":
    print(json.dumps({path: is_valid_catalog(path, strict=True) for path in sys.argv[1:]}))
"""
CURVES = """
import json, sys
import lsdb
if __name__ == "__main__":
    stars = lsdb.open_catalog(sys.argv[1], margin_cache=sys.argv[2]).compute()
    curves = stars.set_index("object_id")["measurements"].nest
    flat = curves.to_flat()
    last = flat.groupby(level=0)["date"].max()
    print(json.dumps([
        dict(zip(map(str, stars["object_id"]), map(int, curves.len()))),
        {str(key): float(value) for key, value in last.items()},
        float(flat["mag_psf"].sum()),
    ]))
"""


def test_lsdb_finds_every_table_and_stilts_units_ucds_descriptions_and_values(
    small_house: Warehouse, exported: Path
) -> None:
    need_lsdb()
    need_stilts()
    tallies = {
        (form, name): exports.compared(small_house, exported, form, read)
        for (form, name), read in {**LSDB, **STILTS}.items()
    }
    whole: Tally = tallies["hats", "lsdb"]
    assert whole.columns > 60
    assert not any(whole.lost.values()), whole.lost
    for form in ("votable", "fits"):
        lost = tallies[form, "STILTS"].lost
        assert lost["unit"] == lost["ucd"] == lost["values"] == [], form
        assert set(lost["description"]) <= {"edges.flag", "mast_missions.has_cloud_copy"}, (
            form
        )  # booleans with NULLs, said in words
    exports.check_page("tests/test_peers.py", tallies)


def test_hats_finds_every_catalogue_and_margin_valid_by_its_strict_rules(
    small_house: Warehouse, exported: Path, tmp_path: Path
) -> None:
    written = export_hats(small_house, tmp_path, rows_max=2, margin_arcsec=3600, light_curves=False)
    assert len(written) > 4
    found = json.loads(ask_lsdb(VALID, *(one.path for one in written)))
    assert found == {str(one.path): True for one in written}
    assert {one.table.removesuffix("_margin") for one in written} <= set(marts(small_house))


def test_lsdb_finds_as_many_epochs_of_each_object_as_the_warehouse_has(simulated: Sky, tmp_path: Path) -> None:
    with open_warehouse(simulated.settings) as house:
        main, margin = export_hats(house, tmp_path, ["sample"], rows_max=200, light_curves=True, margin_arcsec=60)
        rows = house.rows(
            "SELECT object_id, count(m.object_id), max(m.date), sum(m.mag_psf) FROM sample LEFT JOIN measurements AS m "
            "USING (object_id) GROUP BY object_id"
        )
    lengths, last, total = json.loads(ask_lsdb(CURVES, main.path, margin.path))
    assert lengths == {str(object_id): epochs for object_id, epochs, _, _ in rows}
    assert last == {str(object_id): date for object_id, epochs, date, _ in rows if epochs}
    assert total == pytest.approx(sum(row[3] or 0 for row in rows), rel=1e-12)
    assert sum(lengths.values()) > 10_000
