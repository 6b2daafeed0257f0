-- mast_observation: the observations of each candidate in the space archive MAST, by mission.
--
-- grain:  one row per object_id of the candidates and observation
-- key:    object_id, obsid
-- inputs: candidates, stg_mast__observations
-- source: MAST; missions as an observer of symbiotic stars tells them apart
-- nulls:  as in MAST; an exposure that it does not tell is NULL, never 0
-- rule:   Swift is told by instrument, since UVOT and XRT answer different questions. TESS FFI are full-frame images (target_name), TESS
--         are targets of their own light curves. A high-level product is HLSP and its collection's name. All others are the
--         collection's name

SELECT
    CAST(c.object_id AS BIGINT) AS object_id,               -- survey object {meta.id;meta.main}
    CAST(o.obsid AS BIGINT) AS obsid,                       -- MAST's number of the observation {meta.record;obs}
    CAST(CASE
        WHEN o.obs_collection = 'SWIFT' THEN concat_ws(' ', 'Swift', o.instrument_name)
        WHEN o.obs_collection = 'TESS' AND o.target_name = 'TESS FFI' THEN 'TESS FFI'
        WHEN o.obs_collection = 'HLSP' THEN concat_ws(' ', 'HLSP', o.provenance_name)
        ELSE coalesce(o.obs_collection, 'unknown')
    END AS VARCHAR) AS mission,                             -- mission, of Swift with its instrument {meta.id;obs}
    CAST(o.obs_collection AS VARCHAR) AS obs_collection,    -- collection of MAST {meta.id;obs}
    CAST(o.instrument_name AS VARCHAR) AS instrument_name,  -- instrument {meta.id;instr}
    CAST(o.filters AS VARCHAR) AS filters,                  -- filters or gratings {meta.id;instr.filter}
    CAST(o.target_name AS VARCHAR) AS target_name,          -- target as the mission calls it {meta.id;obs}
    CAST(o.obs_id AS VARCHAR) AS obs_id,                    -- the mission's own name of the observation {meta.id;obs}
    CAST(o.dataproduct_type AS VARCHAR) AS dataproduct_type, -- image, spectrum, timeseries, ... {meta.code.class}
    CAST(o.calib_level AS INTEGER) AS calib_level,          -- 0 raw to 4 contributed, -1 planned {meta.code.status}
    CAST(coalesce(o.intent = 'calibration', FALSE) AS BOOLEAN) AS is_calibration, -- TRUE if it was made to calibrate {meta.code}
    CAST(o.t_min_mjd AS DOUBLE) AS t_min_mjd,               -- start, MJD [d] {time.start;obs.exposure}
    CAST(o.t_max_mjd AS DOUBLE) AS t_max_mjd,               -- end, MJD [d] {time.end;obs.exposure}
    CAST(o.exposure_s AS DOUBLE) AS exposure_s,             -- exposure time; of a time series that of one cadence [s] {time.duration;obs.exposure}
    CAST(o.proposal_id AS VARCHAR) AS proposal_id,          -- programme {meta.id;obs.proposal}
    CAST(o.data_rights AS VARCHAR) AS data_rights,          -- PUBLIC, EXCLUSIVE_ACCESS or RESTRICTED {meta.code}
    CAST(o.distance_arcsec AS DOUBLE) AS distance_arcsec,   -- distance of the position from the footprint [arcsec] {pos.angDistance}
    CAST(coalesce(list_contains(getvariable('mast_in_bucket'), o.obs_collection), FALSE) AS BOOLEAN) AS has_cloud_copy -- TRUE if MAST keeps this collection in its public bucket too {meta.code}
FROM candidates AS c
JOIN stg_mast__observations AS o ON c.object_id = o.object_id
WHERE o.obsid IS NOT NULL
