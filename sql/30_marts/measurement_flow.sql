-- measurement_flow: how many single detections each quality cut takes, in order and alone.
--
-- grain:  one row per cut
-- key:    step
-- inputs: int_detections__patterns, measurements
-- source: the cuts of measurements, one by one
-- nulls:  n_null counts detections whose value is missing; they do not pass
-- rule:   n_in, n_pass, n_fail, n_null count in order, detections that passed every step before; alone_ counts the same cut over all
--         detections. The last step, one detection per object and exposure, is counted from measurements itself

WITH numbered AS (
    SELECT
        n,
        [
            struct_pack(cut := 'object_known', passed := object_known),
            struct_pack(cut := 'clip_considered', passed := clip_considered),
            struct_pack(cut := 'mag_finite', passed := mag_finite),
            struct_pack(cut := 'mag_range', passed := mag_range),
            struct_pack(cut := 'error_finite', passed := error_finite),
            struct_pack(cut := 'error_range', passed := error_range),
            struct_pack(cut := 'flags', passed := flags),
            struct_pack(cut := 'nimaflags', passed := nimaflags),
            struct_pack(cut := 'image_known', passed := image_known),
            struct_pack(cut := 'image_type', passed := image_type),
            struct_pack(cut := 'night_known', passed := night_known)
        ] AS cuts
    FROM int_detections__patterns
),

ended AS (
    SELECT
        n, cuts,
        coalesce(list_position(list_transform(cuts, lambda c: coalesce(c.passed, FALSE)), FALSE), len(cuts) + 1) AS ends_at
    FROM numbered
),

steps AS (
    SELECT n, ends_at, unnest(cuts) AS cut, unnest(range(1, len(cuts) + 1)) AS step
    FROM ended
),

quality_cuts AS (
    SELECT
        step, cut.cut AS cut,
        coalesce(sum(n) FILTER (WHERE ends_at >= step), 0) AS n_in,
        coalesce(sum(n) FILTER (WHERE ends_at > step), 0) AS n_pass,
        coalesce(sum(n) FILTER (WHERE ends_at = step AND NOT cut.passed), 0) AS n_fail,
        coalesce(sum(n) FILTER (WHERE ends_at = step AND cut.passed IS NULL), 0) AS n_null,
        coalesce(sum(n) FILTER (WHERE cut.passed), 0) AS alone_pass,
        coalesce(sum(n) FILTER (WHERE NOT cut.passed), 0) AS alone_fail,
        coalesce(sum(n) FILTER (WHERE cut.passed IS NULL), 0) AS alone_null
    FROM steps
    GROUP BY step, cut.cut
),

kept AS (
    SELECT count(*) AS n_kept FROM measurements
),

copies AS (
    SELECT
        step + 1 AS step, 'one_per_image' AS cut, n_pass AS n_in, n_kept AS n_pass, n_pass - n_kept AS n_fail, 0 AS n_null,
        CAST(NULL AS BIGINT) AS alone_pass, CAST(NULL AS BIGINT) AS alone_fail, CAST(NULL AS BIGINT) AS alone_null
    FROM quality_cuts
    CROSS JOIN kept
    WHERE cut = 'night_known'
),

flow AS (
    SELECT * FROM quality_cuts
    UNION ALL BY NAME
    SELECT * FROM copies
)

SELECT
    CAST(step AS INTEGER) AS step,              -- order of the cuts, from 1 {meta.number}
    CAST(cut AS VARCHAR) AS cut,                -- name of the cut {meta.id}
    CAST(n_in AS BIGINT) AS n_in,               -- detections that passed every step before {meta.number}
    CAST(n_pass AS BIGINT) AS n_pass,           -- of these, detections that pass {meta.number}
    CAST(n_fail AS BIGINT) AS n_fail,           -- of these, detections that fail {meta.number}
    CAST(n_null AS BIGINT) AS n_null,           -- of these, detections whose value is missing {meta.number}
    CAST(alone_pass AS BIGINT) AS alone_pass,   -- of all detections, those that pass this cut {meta.number}
    CAST(alone_fail AS BIGINT) AS alone_fail,   -- of all detections, those that fail it {meta.number}
    CAST(alone_null AS BIGINT) AS alone_null    -- of all detections, those whose value is missing {meta.number}
FROM flow
ORDER BY step
