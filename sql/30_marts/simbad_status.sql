-- simbad_status: what SIMBAD knows of each object of the sample: a match, nothing, or never asked.
--
-- grain:  one row per object_id of the sample
-- key:    object_id
-- inputs: sample, stg_simbad__matches
-- source: Lucy 2021: CDS X-Match with SIMBAD to recognise known symbiotics and contaminants
-- nulls:  main_id, main_type and ang_dist_arcsec are NULL unless state is matched

SELECT
    CAST(s.object_id AS BIGINT) AS object_id,               -- survey object {meta.id;meta.main}
    CAST(CASE WHEN m.object_id IS NULL THEN 'not asked'
              WHEN m.main_id IS NULL THEN 'none'
              ELSE 'matched' END AS VARCHAR) AS state,      -- matched, none (asked, SIMBAD has nothing) or not asked {meta.code}
    CAST(m.main_id AS VARCHAR) AS main_id,                  -- SIMBAD's main identifier {meta.id}
    CAST(m.main_type AS VARCHAR) AS main_type,              -- SIMBAD's main object type {src.class}
    CAST(m.ang_dist_arcsec AS DOUBLE) AS ang_dist_arcsec    -- distance between the two positions [arcsec] {pos.angDistance}
FROM sample AS s
LEFT JOIN stg_simbad__matches AS m ON s.object_id = m.object_id
