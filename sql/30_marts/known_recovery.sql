-- known_recovery: each known object, recovered or lost, and where it was lost.
--
-- grain:  one row per object_id of the list of known objects
-- key:    object_id
-- inputs: stg_known__objects, stg_survey__master, int_selection__cuts, colours, density_score, rapid_variability, candidates
-- source: of 71 known symbiotic stars with SkyMapper u and v photometry the cuts took 13 (Lucy 2021)
-- nulls:  lost_at is NULL for candidates; is_value_missing is NULL where no cut took it
-- rule:   lost_at is the first step that does not hold, in the order of cut_flow: a cut's name, 'not in the catalogue' before them,
--         after them 'no outlier' for objects whose colours and variability are as other stars. A cut that the
--         release cannot make (cuts_not_available) loses nobody

WITH patterns AS (
    SELECT
        k.object_id, k.name, k.object_type, k.source, m.object_id IS NOT NULL AS is_in_catalogue, a.rank,
        d.ln_density, r.rapid_u_sigma,
        [
            struct_pack(cut := 'twomass_match', passed := c.twomass_match),
            struct_pack(cut := 'gaia_match', passed := c.gaia_match),
            struct_pack(cut := 'allwise_match', passed := c.allwise_match),
            struct_pack(cut := 'isolated', passed := c.isolated),
            struct_pack(cut := 'ph_qual_aaa', passed := c.ph_qual_aaa),
            struct_pack(cut := 'gal_contam_none', passed := c.gal_contam_none),
            struct_pack(cut := 'not_extended', passed := c.not_extended),
            struct_pack(cut := 'cc_flg_clean', passed := c.cc_flg_clean),
            struct_pack(cut := 'class_star', passed := c.class_star),
            struct_pack(cut := 'flags_psf_clean', passed := c.flags_psf_clean),
            struct_pack(cut := 'u_observed', passed := c.u_observed),
            struct_pack(cut := 'v_observed', passed := c.v_observed),
            struct_pack(cut := 'g_observed', passed := c.g_observed),
            struct_pack(cut := 'single_child', passed := c.single_child),
            struct_pack(cut := 'red_jk', passed := c.red_jk),
            struct_pack(cut := 'bright_j', passed := c.bright_j),
            struct_pack(cut := 'distance_converged', passed := c.distance_converged),
            struct_pack(cut := 'red_jk0', passed := c.red_jk0),
            struct_pack(cut := 'luminous_mj', passed := c.luminous_mj),
            struct_pack(cut := 'colour_snapshot', passed := s.ug_mag IS NOT NULL AND s.uv_mag IS NOT NULL)
        ] AS cuts
    FROM stg_known__objects AS k
    LEFT JOIN stg_survey__master AS m ON k.object_id = m.object_id
    LEFT JOIN int_selection__cuts AS c ON k.object_id = c.object_id
    LEFT JOIN colours AS s ON k.object_id = s.object_id
    LEFT JOIN density_score AS d ON k.object_id = d.object_id
    LEFT JOIN rapid_variability AS r ON k.object_id = r.object_id
    LEFT JOIN candidates AS a ON k.object_id = a.object_id
),

first_failures AS (
    SELECT *, list_filter(cuts, lambda c: NOT coalesce(c.passed, list_contains(getvariable('cuts_not_available'), c.cut)))[1] AS failure
    FROM patterns
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                 -- survey object {meta.id;meta.main}
    CAST(name AS VARCHAR) AS name,                          -- the name astronomers use {meta.id}
    CAST(object_type AS VARCHAR) AS object_type,            -- its type where it is listed {src.class}
    CAST(source AS VARCHAR) AS source,                      -- where it is listed {meta.ref}
    CAST(rank IS NOT NULL AS BOOLEAN) AS is_candidate,      -- TRUE: recovered {meta.code}
    CAST(rank AS INTEGER) AS rank,                          -- its rank among the candidates {meta.number}
    CAST(CASE WHEN rank IS NOT NULL THEN NULL
              WHEN NOT is_in_catalogue THEN 'not in the catalogue'
              WHEN failure IS NOT NULL THEN failure.cut
              ELSE 'no outlier' END AS VARCHAR) AS lost_at, -- the first step that does not hold {meta.code}
    CAST(CASE WHEN rank IS NULL AND is_in_catalogue AND failure IS NOT NULL THEN failure.passed IS NULL END AS BOOLEAN) AS is_value_missing, -- TRUE: lost there because the value is missing {meta.code}
    CAST(ln_density AS DOUBLE) AS ln_density,               -- ln of the density at its colours, per mag^2 {stat.probability}
    CAST(rapid_u_sigma AS DOUBLE) AS rapid_u_sigma          -- its rapid delta-u sigma {stat.snr;phot.mag;em.opt.U}
FROM first_failures
