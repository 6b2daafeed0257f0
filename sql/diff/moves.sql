-- moves: objects that are a candidate in one of two builds only, and where each first became another object than in the other build.
--
-- grain:  one row per object_id that entered (is a candidate in b alone) or left (in a alone)
-- key:    object_id
-- inputs: two warehouses of one layout, attached as a and b:
--         ATTACH 'one/skysy.duckdb' AS a (READ_ONLY); ATTACH 'other/skysy.duckdb' AS b (READ_ONLY);
-- source: the way of an object through a build: catalogue, cuts in their order, sample, measurements, colours or rapid variability,
--         density, limit. The build in which it is a candidate is "with", the other one "without"
-- nulls:  what an object does not have in a build is NULL there. A cut whose value is missing (NULL) is not passed, unless that build's
--         release cannot make it (cuts_not_available): it takes nobody there
-- rule:   an object that does not get as far as the sample of the build without it was lost by the first thing of that way that it
--         does not pass. One that does has lost each criterion that it had; colour is looked at before variability. A criterion is lost
--         by its limit where the limit of the build with it would have kept it and the value of that build would not; by its value
--         in the opposite case; by both where it takes both, or either would do. A value that changed is followed upwards while
--         what it was made from differs too: colours to the detections in u, v and g, sigma to those of rapid_filter in sequences

WITH limits AS (
    SELECT
        CAST((SELECT value FROM a.meta.parameter WHERE name = 'density_ln_max') AS DOUBLE) AS density_a,
        CAST((SELECT value FROM b.meta.parameter WHERE name = 'density_ln_max') AS DOUBLE) AS density_b,
        CAST((SELECT value FROM a.meta.parameter WHERE name = 'rapid_u_sigma_min') AS DOUBLE) AS sigma_a,
        CAST((SELECT value FROM b.meta.parameter WHERE name = 'rapid_u_sigma_min') AS DOUBLE) AS sigma_b,
        (SELECT trim(value, '''') FROM a.meta.parameter WHERE name = 'rapid_filter') AS filter_a,
        (SELECT trim(value, '''') FROM b.meta.parameter WHERE name = 'rapid_filter') AS filter_b
),

-- The list is kept as its SQL literal; names of cuts are words.
not_available AS (
    SELECT 'a' AS side, unnest(regexp_extract_all(value, '''([a-z0-9_]+)''', 1)) AS cut FROM a.meta.parameter WHERE name = 'cuts_not_available'
    UNION ALL
    SELECT 'b', unnest(regexp_extract_all(value, '''([a-z0-9_]+)''', 1)) FROM b.meta.parameter WHERE name = 'cuts_not_available'
),

moved AS (
    SELECT object_id, TRUE AS entered, criteria FROM b.main.candidates ANTI JOIN a.main.candidates USING (object_id)
    UNION ALL
    SELECT object_id, FALSE, criteria FROM a.main.candidates ANTI JOIN b.main.candidates USING (object_id)
),

-- The cuts of the build without it, long instead of wide, so that any set of cuts will do.
verdicts_a AS (
    FROM (SELECT c.* FROM a.main.int_selection__cuts AS c SEMI JOIN moved AS m ON c.object_id = m.object_id AND m.entered)
    UNPIVOT INCLUDE NULLS (passed FOR cut IN (* EXCLUDE (object_id)))
),

verdicts_b AS (
    FROM (SELECT c.* FROM b.main.int_selection__cuts AS c SEMI JOIN moved AS m ON c.object_id = m.object_id AND NOT m.entered)
    UNPIVOT INCLUDE NULLS (passed FOR cut IN (* EXCLUDE (object_id)))
),

places AS (
    SELECT database_name AS side, column_name AS cut, column_index AS place
    FROM duckdb_columns()
    WHERE database_name IN ('a', 'b') AND schema_name = 'main' AND table_name = 'int_selection__cuts'
),

first_cuts AS (
    SELECT object_id, min(struct_pack(place := place, cut := cut, is_missing := passed IS NULL)) AS first_cut
    FROM (
        SELECT object_id, cut, passed, 'a' AS side FROM verdicts_a
        UNION ALL
        SELECT object_id, cut, passed, 'b' FROM verdicts_b
    )
    JOIN places USING (side, cut)
    ANTI JOIN not_available USING (side, cut)
    WHERE passed IS NOT TRUE
    GROUP BY object_id
),

detections_a AS (
    SELECT object_id, image_id, filter, mag_psf, e_mag_psf, night_mjd, date, sequence_id,
           filter IN ('u', 'v', 'g') AS in_colour, filter = l.filter_a AND sequence_id IS NOT NULL AS in_rapid
    FROM a.main.measurements SEMI JOIN moved USING (object_id), limits AS l
),

detections_b AS (
    SELECT object_id, image_id, filter, mag_psf, e_mag_psf, night_mjd, date, sequence_id,
           filter IN ('u', 'v', 'g') AS in_colour, filter = l.filter_b AND sequence_id IS NOT NULL AS in_rapid
    FROM b.main.measurements SEMI JOIN moved USING (object_id), limits AS l
),

detections AS (
    SELECT
        coalesce(x.object_id, y.object_id) AS object_id,
        count(*) FILTER (WHERE x.in_colour) AS n_colour_a,
        count(*) FILTER (WHERE y.in_colour) AS n_colour_b,
        count(DISTINCT x.night_mjd) FILTER (WHERE x.in_colour) AS nights_colour_a,
        count(DISTINCT y.night_mjd) FILTER (WHERE y.in_colour) AS nights_colour_b,
        count(*) FILTER (WHERE (x.in_colour OR y.in_colour) AND (x.filter, x.mag_psf, x.e_mag_psf, x.night_mjd) IS DISTINCT FROM (y.filter, y.mag_psf, y.e_mag_psf, y.night_mjd)) AS colour_differ,
        count(*) FILTER (WHERE x.in_rapid) AS n_rapid_a,
        count(*) FILTER (WHERE y.in_rapid) AS n_rapid_b,
        count(DISTINCT x.night_mjd) FILTER (WHERE x.in_rapid) AS nights_rapid_a,
        count(DISTINCT y.night_mjd) FILTER (WHERE y.in_rapid) AS nights_rapid_b,
        count(*) FILTER (WHERE (x.in_rapid OR y.in_rapid) AND (x.in_rapid, x.mag_psf, x.e_mag_psf, x.date, x.sequence_id) IS DISTINCT FROM (y.in_rapid, y.mag_psf, y.e_mag_psf, y.date, y.sequence_id)) AS rapid_differ
    FROM detections_a AS x
    FULL JOIN detections_b AS y ON x.object_id = y.object_id AND x.image_id = y.image_id
    GROUP BY ALL
),

gathered AS (
    SELECT
        m.*, f.first_cut, d.* EXCLUDE (object_id), l.*,
        CASE WHEN m.entered THEN ma.object_id ELSE mb.object_id END IS NOT NULL AS in_catalogue,
        CASE WHEN m.entered THEN sa.object_id ELSE sb.object_id END IS NOT NULL AS in_sample,
        ca.ug_mag AS ug_a, cb.ug_mag AS ug_b, ca.uv_mag AS uv_a, cb.uv_mag AS uv_b,
        da.ln_density AS ln_a, db.ln_density AS ln_b, ra.rapid_u_sigma AS rapid_a, rb.rapid_u_sigma AS rapid_b
    FROM moved AS m
    CROSS JOIN limits AS l
    LEFT JOIN first_cuts AS f ON m.object_id = f.object_id
    LEFT JOIN detections AS d ON m.object_id = d.object_id
    LEFT JOIN a.main.int_selection__matched AS ma ON m.object_id = ma.object_id
    LEFT JOIN b.main.int_selection__matched AS mb ON m.object_id = mb.object_id
    LEFT JOIN a.main.sample AS sa ON m.object_id = sa.object_id
    LEFT JOIN b.main.sample AS sb ON m.object_id = sb.object_id
    LEFT JOIN a.main.colours AS ca ON m.object_id = ca.object_id
    LEFT JOIN b.main.colours AS cb ON m.object_id = cb.object_id
    LEFT JOIN a.main.density_score AS da ON m.object_id = da.object_id
    LEFT JOIN b.main.density_score AS db ON m.object_id = db.object_id
    LEFT JOIN a.main.rapid_variability AS ra ON m.object_id = ra.object_id
    LEFT JOIN b.main.rapid_variability AS rb ON m.object_id = rb.object_id
),

-- Each criterion by the value and the limit of the build with the object and of the one without it, crossed: would it be kept?
crossed AS (
    SELECT
        *,
        criteria LIKE 'colour%' AS had_colour,
        criteria LIKE '%variability' AS had_rapid,
        coalesce(CASE WHEN entered THEN ln_a <= density_b ELSE ln_b <= density_a END, FALSE) AS old_limit_keeps_colour,
        coalesce(CASE WHEN entered THEN ln_b <= density_a ELSE ln_a <= density_b END, FALSE) AS old_value_keeps_colour,
        coalesce(CASE WHEN entered THEN rapid_a >= sigma_b ELSE rapid_b >= sigma_a END, FALSE) AS old_limit_keeps_rapid,
        coalesce(CASE WHEN entered THEN rapid_b >= sigma_a ELSE rapid_a >= sigma_b END, FALSE) AS old_value_keeps_rapid,
        coalesce(CASE WHEN entered THEN ln_a <= density_a ELSE ln_b <= density_b END, FALSE) AS still_colour,
        coalesce(CASE WHEN entered THEN rapid_a >= sigma_a ELSE rapid_b >= sigma_b END, FALSE) AS still_rapid
    FROM gathered
),

judged AS (
    SELECT
        *,
        CASE
            WHEN still_colour THEN 'rule'                                         -- value and limit would do: another rule stands between
            WHEN ln_a IS NOT DISTINCT FROM ln_b AND density_a IS NOT DISTINCT FROM density_b THEN 'rule'
            WHEN old_limit_keeps_colour AND NOT old_value_keeps_colour THEN 'limit'
            WHEN old_value_keeps_colour AND NOT old_limit_keeps_colour THEN 'value'
            ELSE 'value and limit'
        END AS colour_cause,
        CASE
            WHEN still_rapid THEN 'rule'
            WHEN rapid_a IS NOT DISTINCT FROM rapid_b AND sigma_a IS NOT DISTINCT FROM sigma_b THEN 'rule'
            WHEN old_limit_keeps_rapid AND NOT old_value_keeps_rapid THEN 'limit'
            WHEN old_value_keeps_rapid AND NOT old_limit_keeps_rapid THEN 'value'
            ELSE 'value and limit'
        END AS rapid_cause
    FROM crossed
),

placed AS (
    SELECT
        *,
        CASE
            WHEN NOT in_catalogue THEN 'catalogue'
            WHEN NOT in_sample AND first_cut IS NOT NULL THEN 'cut'
            WHEN NOT in_sample THEN 'sample'
            WHEN had_colour THEN 'colour'
            WHEN had_rapid THEN 'variability'
            ELSE 'candidates'
        END AS lost_at
    FROM judged
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                             -- survey object {meta.id;meta.main}
    CAST(CASE WHEN entered THEN 'entered' ELSE 'left' END AS VARCHAR) AS change, -- entered: a candidate in b alone; left: in a alone {meta.code}
    CAST(criteria AS VARCHAR) AS criteria,                              -- what made it one there: colour, variability or both {meta.code}
    CAST(lost_at AS VARCHAR) AS lost_at,                                -- what the build without it has not of it: catalogue, cut, sample, colour, variability, candidates {meta.code}
    CAST(CASE WHEN lost_at = 'cut' THEN first_cut.cut END AS VARCHAR) AS cut, -- the first cut that it does not pass {meta.id}
    CAST(CASE WHEN lost_at = 'cut' THEN first_cut.is_missing END AS BOOLEAN) AS cut_is_missing, -- its value is missing, it does not fail {meta.code}
    CAST(CASE lost_at
        WHEN 'catalogue' THEN 'object'
        WHEN 'colour' THEN colour_cause
        WHEN 'variability' THEN rapid_cause
        WHEN 'cut' THEN NULL
        ELSE 'rule'
    END AS VARCHAR) AS cause,                                           -- object, value, limit, value and limit, or rule; NULL for a cut, whose values are looked at one by one {meta.code}
    CAST(CASE
        WHEN lost_at = 'colour' AND colour_cause IN ('value', 'value and limit') THEN CASE
            WHEN colour_differ > 0 THEN 'measurements'                                    -- other detections
            WHEN (ug_a, uv_a) IS DISTINCT FROM (ug_b, uv_b) THEN 'colours'                -- the same detections, other colours
            ELSE 'density_score'                                                          -- the same colours among other ones
        END
        WHEN lost_at = 'variability' AND rapid_cause IN ('value', 'value and limit') THEN CASE
            WHEN rapid_differ > 0 THEN 'measurements'
            ELSE 'rapid_variability'
        END
        WHEN lost_at = 'catalogue' THEN 'int_selection__matched'
        WHEN lost_at = 'cut' THEN 'int_selection__cuts'
        WHEN lost_at = 'sample' THEN 'sample'
        ELSE 'candidates'
    END AS VARCHAR) AS model,                                           -- the first table of the way in which it differs {meta.id}
    CAST(ug_a AS DOUBLE) AS ug_a_mag,                                   -- u - g in a [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(ug_b AS DOUBLE) AS ug_b_mag,                                   -- u - g in b [mag] {phot.color;em.opt.U;em.opt.B}
    CAST(uv_a AS DOUBLE) AS uv_a_mag,                                   -- u - v in a [mag] {phot.color;em.opt.U}
    CAST(uv_b AS DOUBLE) AS uv_b_mag,                                   -- u - v in b [mag] {phot.color;em.opt.U}
    CAST(ln_a AS DOUBLE) AS ln_density_a,                               -- ln density in a, per mag^2 {stat.probability}
    CAST(ln_b AS DOUBLE) AS ln_density_b,                               -- ln density in b, per mag^2 {stat.probability}
    CAST(rapid_a AS DOUBLE) AS rapid_u_sigma_a,                         -- rapid delta-u sigma in a {stat.snr;phot.mag;em.opt.U}
    CAST(rapid_b AS DOUBLE) AS rapid_u_sigma_b,                         -- rapid delta-u sigma in b {stat.snr;phot.mag;em.opt.U}
    CAST(coalesce(n_colour_a, 0) AS INTEGER) AS n_colour_a,             -- detections in u, v and g that count in a {meta.number}
    CAST(coalesce(n_colour_b, 0) AS INTEGER) AS n_colour_b,             -- the same in b {meta.number}
    CAST(coalesce(nights_colour_a, 0) AS INTEGER) AS nights_colour_a,   -- nights of these in a {meta.number}
    CAST(coalesce(nights_colour_b, 0) AS INTEGER) AS nights_colour_b,   -- the same in b {meta.number}
    CAST(coalesce(colour_differ, 0) AS INTEGER) AS n_colour_differ,     -- of these, exposures whose detection is not the same in both {meta.number}
    CAST(coalesce(n_rapid_a, 0) AS INTEGER) AS n_rapid_a,               -- detections of rapid_filter in sequences that count in a {meta.number}
    CAST(coalesce(n_rapid_b, 0) AS INTEGER) AS n_rapid_b,               -- the same in b {meta.number}
    CAST(coalesce(nights_rapid_a, 0) AS INTEGER) AS nights_rapid_a,     -- nights of these in a {meta.number}
    CAST(coalesce(nights_rapid_b, 0) AS INTEGER) AS nights_rapid_b,     -- the same in b {meta.number}
    CAST(coalesce(rapid_differ, 0) AS INTEGER) AS n_rapid_differ        -- of these, exposures whose detection is not the same in both {meta.number}
FROM placed
ORDER BY change, object_id
