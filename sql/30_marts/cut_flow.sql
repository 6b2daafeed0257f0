-- cut_flow: how many objects each cut takes, in order, alone, and among known objects.
--
-- grain:  one row per cut
-- key:    step
-- inputs: int_selection__cuts, colours, stg_known__objects
-- source: the attrition table of the selection; the last step counts sample objects that have both snapshot colours (Lucy 2021)
-- nulls:  n_null counts objects whose value is missing, apart from those that fail; both end there. Where is_available is FALSE, the
--         release has no value to make the cut on: everybody goes on, and nothing is counted as failed, missing or alone
-- rule:   n_in, n_pass, n_fail, n_null count in order, objects that passed every step before; alone_ counts the same cut over all
--         objects; known_ counts in order among the known objects. Objects of one pattern of cuts are counted together first

WITH patterns AS (
    SELECT
        c.* EXCLUDE (object_id),
        CASE WHEN s.object_id IS NOT NULL THEN s.ug_mag IS NOT NULL AND s.uv_mag IS NOT NULL END AS colour_snapshot,
        k.object_id IS NOT NULL AS is_known,
        count(*) AS n
    FROM int_selection__cuts AS c
    LEFT JOIN colours AS s ON c.object_id = s.object_id
    LEFT JOIN stg_known__objects AS k ON c.object_id = k.object_id
    GROUP BY ALL
),

listed AS (
    SELECT
        is_known, n,
        [
            struct_pack(cut := 'twomass_match', passed := twomass_match),
            struct_pack(cut := 'gaia_match', passed := gaia_match),
            struct_pack(cut := 'allwise_match', passed := allwise_match),
            struct_pack(cut := 'isolated', passed := isolated),
            struct_pack(cut := 'ph_qual_aaa', passed := ph_qual_aaa),
            struct_pack(cut := 'gal_contam_none', passed := gal_contam_none),
            struct_pack(cut := 'not_extended', passed := not_extended),
            struct_pack(cut := 'cc_flg_clean', passed := cc_flg_clean),
            struct_pack(cut := 'class_star', passed := class_star),
            struct_pack(cut := 'flags_psf_clean', passed := flags_psf_clean),
            struct_pack(cut := 'u_observed', passed := u_observed),
            struct_pack(cut := 'v_observed', passed := v_observed),
            struct_pack(cut := 'g_observed', passed := g_observed),
            struct_pack(cut := 'single_child', passed := single_child),
            struct_pack(cut := 'red_jk', passed := red_jk),
            struct_pack(cut := 'bright_j', passed := bright_j),
            struct_pack(cut := 'distance_converged', passed := distance_converged),
            struct_pack(cut := 'red_jk0', passed := red_jk0),
            struct_pack(cut := 'luminous_mj', passed := luminous_mj),
            struct_pack(cut := 'colour_snapshot', passed := colour_snapshot)
        ] AS cuts
    FROM patterns
),

numbered AS (
    SELECT
        is_known, n, cuts,
        coalesce(
            list_position(
                list_transform(cuts, lambda c: coalesce(c.passed, list_contains(getvariable('cuts_not_available'), c.cut))), FALSE
            ),
            len(cuts) + 1
        ) AS ends_at
    FROM listed
),

unnested AS (
    SELECT is_known, n, ends_at, unnest(cuts) AS cut, unnest(range(1, len(cuts) + 1)) AS step
    FROM numbered
),

steps AS (
    SELECT is_known, n, ends_at, step, cut, NOT list_contains(getvariable('cuts_not_available'), cut.cut) AS is_available
    FROM unnested
)

SELECT
    CAST(step AS INTEGER) AS step,                                                                                                                      -- order of the cuts, from 1 {meta.number}
    CAST(cut.cut AS VARCHAR) AS cut,                                                                                                                    -- the cut's name in int_selection__cuts {meta.id}
    CAST(is_available AS BOOLEAN) AS is_available,                                                                                                      -- FALSE: the release cannot make this cut {meta.code}
    CAST(coalesce(sum(n) FILTER (WHERE ends_at >= step), 0) AS BIGINT) AS n_in,                                                                         -- objects that passed every step before {meta.number}
    CAST(coalesce(sum(n) FILTER (WHERE ends_at > step), 0) AS BIGINT) AS n_pass,                                                                        -- of these, objects that pass {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE ends_at = step AND NOT cut.passed), 0) END AS BIGINT) AS n_fail,                     -- of these, objects that fail {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE ends_at = step AND cut.passed IS NULL), 0) END AS BIGINT) AS n_null,                 -- of these, objects whose value is missing {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE cut.passed), 0) END AS BIGINT) AS alone_pass,                                        -- of all objects, those that pass this cut {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE NOT cut.passed), 0) END AS BIGINT) AS alone_fail,                                    -- of all objects, those that fail it {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE cut.passed IS NULL), 0) END AS BIGINT) AS alone_null,                                -- of all objects, those whose value is missing {meta.number}
    CAST(coalesce(sum(n) FILTER (WHERE is_known AND ends_at >= step), 0) AS BIGINT) AS known_in,                                                        -- known objects that passed every step before {meta.number}
    CAST(coalesce(sum(n) FILTER (WHERE is_known AND ends_at > step), 0) AS BIGINT) AS known_pass,                                                       -- of these, known objects that pass {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE is_known AND ends_at = step AND NOT cut.passed), 0) END AS BIGINT) AS known_fail,    -- of these, known objects that fail {meta.number}
    CAST(CASE WHEN is_available THEN coalesce(sum(n) FILTER (WHERE is_known AND ends_at = step AND cut.passed IS NULL), 0) END AS BIGINT) AS known_null -- of these, known objects whose value is missing {meta.number}
FROM steps
GROUP BY step, cut.cut, is_available
ORDER BY step
