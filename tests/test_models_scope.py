"""`scope: object` is a promise about cutting the sky up by object_id; SQL that breaks it is refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import models_toy as toy
import pytest

from skysy.errors import ModelError
from skysy.models import parameters
from skysy.models.files import Model, read_model
from skysy.models.project import load_project
from skysy.models.scope import check_scope

_HEAD = """\
-- m: a model.
--
-- grain:  one row per object_id
-- key:    object_id
-- scope:  object
-- inputs: {inputs}
{broadcast}
"""
_LAST = """
SELECT
    CAST(object_id AS BIGINT) AS object_id -- object
FROM {source}
"""


def model(directory: Path, steps: str, *, inputs: str, broadcast: str = "", source: str = "a") -> Model:
    path = directory / "m.sql"
    head = _HEAD.format(inputs=inputs, broadcast=f"-- broadcast: {broadcast}\n" if broadcast else "")
    path.write_text(head + (f"WITH a AS ({steps})" if steps else "") + _LAST.format(source=source))
    return read_model(path)


ALLOWED = [
    ("SELECT object_id, max(x) AS x FROM t GROUP BY object_id", "t", ""),
    ("SELECT object_id, night, max(x) AS x FROM t GROUP BY ALL", "t", ""),
    ("SELECT object_id, night, max(x) AS x FROM t GROUP BY object_id, ROLLUP (night)", "t", ""),
    (
        "SELECT t.object_id, lag(x) OVER w AS x FROM t WINDOW w AS (PARTITION BY t.object_id ORDER BY d)",
        "t",
        "",
    ),
    ("SELECT * FROM t QUALIFY row_number() OVER (PARTITION BY object_id, d ORDER BY x) = 1", "t", ""),
    ("SELECT t.* FROM t JOIN u USING (object_id)", "t, u", ""),
    ("SELECT t.* FROM t LEFT JOIN u ON u.object_id = t.object_id AND t.d < u.d", "t, u", ""),
    ("SELECT t.* FROM t JOIN images AS i ON t.image_id = i.image_id", "t, images", "images"),
    ("SELECT t.* FROM t CROSS JOIN (SELECT count(*) AS n FROM images) AS i", "t, images", "images"),
    ("SELECT * FROM t WHERE image_id IN (SELECT image_id FROM images)", "t, images", "images"),
    ("SELECT object_id, unnest(list) AS x FROM t", "t", ""),
    ("SELECT t.object_id, x.v FROM t, unnest(t.list) AS x(v)", "t", ""),
    ("SELECT * FROM t UNION ALL SELECT * FROM u", "t, u", ""),
    ("SELECT object_id, night FROM t UNION ALL SELECT object_id, d FROM u", "t, u", ""),
    ("SELECT night, object_id FROM t UNION ALL BY NAME SELECT object_id, night FROM u", "t, u", ""),
    ("SELECT t.* FROM t JOIN images AS i ON t.object_id = i.object_id", "t, images", "images"),
    ("SELECT DISTINCT object_id, night FROM t", "t", ""),
    ("SELECT object_id, list_max(l) AS x FROM t", "t", ""),
]

REFUSED = [
    ("SELECT night, max(object_id) AS o FROM t GROUP BY night", "t", "", "`GROUP BY night` has no object_id"),
    ("SELECT night, max(x) AS x FROM t GROUP BY ALL", "t", "", "has no object_id"),
    ("SELECT object_id, count(*) AS n FROM t GROUP BY ROLLUP (object_id)", "t", "", "has no object_id"),
    ("SELECT object_id, n FROM t GROUP BY GROUPING SETS ((object_id, n), (n))", "t", "", "has no object_id"),
    ("SELECT max(x) AS x FROM t", "t", "", "is over all rows"),
    ("SELECT object_id, rank() OVER (ORDER BY x) AS r FROM t", "t", "", "not PARTITION BY object_id"),
    ("SELECT object_id, rank() OVER w AS r FROM t WINDOW w AS (PARTITION BY d)", "t", "", "not PARTITION BY"),
    ("SELECT object_id, count(*) OVER () AS n FROM t", "t", "", "not PARTITION BY object_id"),
    ("SELECT t.* FROM t JOIN u ON t.image_id = u.image_id", "t, u", "", "is not on object_id"),
    ("SELECT t.* FROM t JOIN u ON t.object_id = t.object_id", "t, u", "", "is not on object_id"),
    ("SELECT t.* FROM t JOIN u ON t.object_id = u.object_id OR t.d = u.d", "t, u", "", "is not on object_id"),
    ("SELECT t.* FROM t, u", "t, u", "", "is not on object_id"),
    (
        "SELECT t.* FROM images AS i JOIN t ON t.image_id = i.image_id",
        "t, images",
        "images",
        "starts from images",
    ),
    (
        "SELECT t.* FROM t FULL JOIN images AS i ON t.image_id = i.image_id",
        "t, images",
        "images",
        "keeps rows",
    ),
    ("SELECT * FROM t WHERE x > (SELECT avg(x) FROM t)", "t", "", "a subquery in an expression"),
    ("SELECT * FROM t WHERE d IN (SELECT d FROM u)", "t, u", "", "a subquery in an expression"),
    ("SELECT * FROM t LIMIT 3", "t", "", "takes only some rows"),
    ("SELECT * FROM t USING SAMPLE 10%", "t", "", "takes only some rows"),
    ("SELECT object_id FROM t UNION SELECT object_id FROM u", "t, u", "", "UNION compares rows"),
    ("SELECT object_id FROM t EXCEPT SELECT object_id FROM u", "t, u", "", "EXCEPT compares rows"),
    (
        "SELECT object_id FROM t UNION ALL SELECT image_id FROM images",
        "t, images",
        "images",
        "broadcast table",
    ),
    ("SELECT DISTINCT night FROM t", "t", "", "a DISTINCT has no object_id"),
    ("SELECT night, object_id FROM t UNION ALL SELECT object_id, night FROM u", "t, u", "", "in another place"),
    ("SELECT night, object_id FROM t UNION ALL SELECT * FROM u", "t, u", "", "in another place"),
    ("SELECT * REPLACE (night AS object_id) FROM t", "t", "", "makes object_id of something else"),
    ("SELECT * RENAME (night AS object_id) FROM t", "t", "", "makes object_id of something else"),
    ("SELECT * FROM (SELECT night, x FROM t) AS n (object_id, x)", "t", "", "may give the name object_id"),
    ("SELECT i.object_id FROM t JOIN images AS i ON t.d = i.d", "t, images", "images", "`i.object_id` is of a table"),
    (
        "SELECT t.object_id, rank() OVER (PARTITION BY i.object_id) AS r FROM t JOIN images AS i ON t.d = i.d",
        "t, images",
        "images",
        "`i.object_id` is of a table",
    ),
    ("SELECT object_id % 10 AS object_id FROM t", "t", "", "makes object_id of something else"),
]


@pytest.mark.parametrize(("steps", "inputs", "broadcast"), ALLOWED)
def test_what_stays_within_an_object_passes(tmp_path: Path, steps: str, inputs: str, broadcast: str) -> None:
    check_scope(model(tmp_path, steps, inputs=inputs, broadcast=broadcast))


@pytest.mark.parametrize(("steps", "inputs", "broadcast", "said"), REFUSED)
def test_what_looks_beyond_an_object_is_refused(
    tmp_path: Path, steps: str, inputs: str, broadcast: str, said: str
) -> None:
    with pytest.raises(ModelError, match="says scope: object, but") as caught:
        check_scope(model(tmp_path, steps, inputs=inputs, broadcast=broadcast))
    assert said in caught.value.message


def test_a_broadcast_table_imported_by_a_cte_is_still_broadcast(tmp_path: Path) -> None:
    steps = "SELECT * FROM images), b AS (SELECT t.object_id FROM t JOIN a ON t.image_id = a.image_id"
    check_scope(model(tmp_path, steps, inputs="t, images", broadcast="images", source="b"))
    with pytest.raises(ModelError, match="is not on object_id"):
        check_scope(model(tmp_path, steps, inputs="t, images", source="b"))


def test_order_by_at_the_end_and_a_key_without_object_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ends with ORDER BY"):
        check_scope(model(tmp_path, "", inputs="t", source="t ORDER BY object_id"))
    path = tmp_path / "m.sql"
    path.write_text(
        _HEAD.format(inputs="t", broadcast="").replace("key:    object_id", "key:    t")
        + "SELECT\n CAST(t AS DOUBLE) AS t -- time\nFROM t"
    )
    with pytest.raises(ModelError, match="its key has no object_id"):
        check_scope(read_model(path))


def test_models_of_scope_object_give_the_same_rows_when_the_sky_is_cut_up(tmp_path: Path) -> None:
    project = load_project("toy", toy.write_science(tmp_path / "sql"))
    chain = [one for one in project.models if one.scope == "object"]
    assert [one.name for one in chain] == ["int_kept", "means"]

    def rows(where: str) -> list[tuple[object, ...]]:
        with duckdb.connect() as con:
            parameters.apply(con, project.parameters)
            con.execute(f"CREATE VIEW stg_obs AS SELECT * FROM ({toy.ROWS}) WHERE {where}")
            for one in chain:
                con.execute(f"CREATE TABLE {one.name} AS {one.sql}")
            return con.execute("FROM means ORDER BY object_id").fetchall()

    whole = rows("TRUE")
    parts = [row for part in range(3) for row in rows(f"object_id % 3 = {part}")]
    assert len(whole) == 50
    assert sorted(parts) == whole


CHUNKS = """\
-- m: a model.
--
-- grain:  one row per chunk_id
-- key:    chunk_id
-- scope:  chunk
-- inputs: t

SELECT
    CAST({chunk} AS INTEGER) AS {name}, -- load
    CAST({what} AS BIGINT) AS n -- rows
FROM t
{group}
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group": "GROUP BY _chunk_id"}, ""),
        ({"chunk": "chunk_id", "group": "GROUP BY ALL"}, ""),
        ({}, "is over all rows, without GROUP BY chunk_id"),
        ({"group": "GROUP BY object_id"}, "`GROUP BY object_id` has no chunk_id"),
        ({"what": "row_number() OVER (PARTITION BY object_id)"}, "is not PARTITION BY chunk_id"),
        ({"chunk": "n % 2", "what": "1"}, "makes chunk_id of something else"),
        ({"name": "load", "group": "GROUP BY _chunk_id"}, "it has no column chunk_id"),
    ],
)
def test_a_scope_of_chunks_keeps_to_what_was_loaded_together(tmp_path: Path, given: dict[str, str], said: str) -> None:
    path = tmp_path / "m.sql"
    text = CHUNKS.format(**({"chunk": "_chunk_id", "name": "chunk_id", "what": "count(*)", "group": ""} | given))
    path.write_text(text.replace("key:    chunk_id", f"key:    {given.get('name', 'chunk_id')}"))
    if not said:
        check_scope(read_model(path))
        return
    with pytest.raises(ModelError, match="says scope: chunk, but") as caught:
        check_scope(read_model(path))
    assert said in caught.value.message
