-- stg_simbad__matches: SIMBAD's nearest object to each survey object that it was asked about.
--
-- grain:  one row per object_id that was asked about
-- key:    object_id
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS object_id,          -- survey object {meta.id;meta.main}
    CAST(NULL AS VARCHAR) AS main_id,           -- SIMBAD's main identifier {meta.id}
    CAST(NULL AS VARCHAR) AS main_type,         -- SIMBAD's main object type {src.class}
    CAST(NULL AS DOUBLE) AS ang_dist_arcsec     -- distance between the two positions [arcsec] {pos.angDistance}
WHERE FALSE
