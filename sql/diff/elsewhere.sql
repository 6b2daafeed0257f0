-- elsewhere: candidates of one of two builds whose object_id the other has not, and the object that lies at their place there.
--
-- grain:  one row per such candidate with an object at its place
-- key:    object_id, entered
-- inputs: two warehouses of one layout, attached as a and b:
--         ATTACH 'one/skysy.duckdb' AS a (READ_ONLY); ATTACH 'other/skysy.duckdb' AS b (READ_ONLY);
-- source: the catalogues as each was loaded. Surveys keep object_id from one release to the next, but an object that was split or
--         merged has another one
-- nulls:  an object without a position has no place
-- rule:   the nearest within 2 arcsec, of equally near ones that with the lowest object_id: positions of one survey agree within some
--         tenths of an arcsecond, and few giants move by more in the years between releases. Positions stand as they are. Only rows in
--         one zone of declination (10 arcsec high) or beside it are compared

WITH lacking AS (
    SELECT TRUE AS entered, object_id, raj2000, dej2000, unnest([zone - 1, zone, zone + 1]) AS zone
    FROM (
        SELECT object_id, raj2000, dej2000, CAST(floor(dej2000 * 360) AS INTEGER) AS zone
        FROM b.main.int_selection__matched SEMI JOIN b.main.candidates USING (object_id) ANTI JOIN a.main.int_selection__matched USING (object_id)
    )
    UNION ALL
    SELECT FALSE, object_id, raj2000, dej2000, unnest([zone - 1, zone, zone + 1])
    FROM (
        SELECT object_id, raj2000, dej2000, CAST(floor(dej2000 * 360) AS INTEGER) AS zone
        FROM a.main.int_selection__matched SEMI JOIN a.main.candidates USING (object_id) ANTI JOIN b.main.int_selection__matched USING (object_id)
    )
),

there AS (
    SELECT TRUE AS entered, object_id, raj2000, dej2000, CAST(floor(dej2000 * 360) AS INTEGER) AS zone FROM a.main.int_selection__matched
    UNION ALL
    SELECT FALSE, object_id, raj2000, dej2000, CAST(floor(dej2000 * 360) AS INTEGER) FROM b.main.int_selection__matched
),

pairs AS (
    SELECT
        l.entered,
        l.object_id,
        t.object_id AS other_id,
        3600 * 2 * degrees(asin(least(1, sqrt(
            pow(sin(radians(t.dej2000 - l.dej2000) / 2), 2)
            + cos(radians(t.dej2000)) * cos(radians(l.dej2000)) * pow(sin(radians(t.raj2000 - l.raj2000) / 2), 2)
        )))) AS sep_arcsec
    FROM lacking AS l
    JOIN there AS t ON l.entered = t.entered AND l.zone = t.zone
),

nearest AS (
    SELECT entered, object_id, min(struct_pack(sep_arcsec := sep_arcsec, other_id := other_id)) AS found
    FROM pairs
    WHERE sep_arcsec <= 2
    GROUP BY entered, object_id
)

SELECT
    CAST(entered AS BOOLEAN) AS entered,                            -- TRUE: a candidate in b, sought in a; FALSE: the reverse {meta.code}
    CAST(object_id AS BIGINT) AS object_id,                         -- the candidate {meta.id;meta.main}
    CAST(found.other_id AS BIGINT) AS other_id,                     -- the object at its place in the other build {meta.id.cross}
    CAST(found.sep_arcsec AS DOUBLE) AS sep_arcsec                  -- distance between the two [arcsec] {pos.angDistance}
FROM nearest
ORDER BY entered, object_id
