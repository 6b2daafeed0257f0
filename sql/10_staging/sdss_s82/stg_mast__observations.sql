-- stg_mast__observations: what the space archive MAST holds at the places of the objects that it was asked about.
--
-- grain:  one row per object_id and observation, or one without obsid where MAST has nothing
-- key:    object_id, obsid
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS object_id,          -- survey object {meta.id;meta.main}
    CAST(NULL AS BIGINT) AS obsid,              -- MAST's number of the observation {meta.record;obs}
    CAST(NULL AS VARCHAR) AS obs_collection,    -- mission or collection, in capitals {meta.id;obs}
    CAST(NULL AS VARCHAR) AS instrument_name,   -- instrument, in capitals {meta.id;instr}
    CAST(NULL AS VARCHAR) AS provenance_name,   -- pipeline, or team of a high-level product {meta.id;meta.software}
    CAST(NULL AS VARCHAR) AS filters,           -- filters or gratings {meta.id;instr.filter}
    CAST(NULL AS VARCHAR) AS target_name,       -- target as the mission calls it {meta.id;obs}
    CAST(NULL AS VARCHAR) AS obs_id,            -- the mission's own name of the observation {meta.id;obs}
    CAST(NULL AS VARCHAR) AS dataproduct_type,  -- image, spectrum, timeseries, ... {meta.code.class}
    CAST(NULL AS INTEGER) AS calib_level,       -- 0 raw to 4 contributed, -1 planned {meta.code.status}
    CAST(NULL AS VARCHAR) AS intent,            -- science or calibration {meta.code}
    CAST(NULL AS DOUBLE) AS t_min_mjd,          -- start, MJD [d] {time.start;obs.exposure}
    CAST(NULL AS DOUBLE) AS t_max_mjd,          -- end, MJD [d] {time.end;obs.exposure}
    CAST(NULL AS DOUBLE) AS exposure_s,         -- exposure time; of a time series that of one cadence [s] {time.duration;obs.exposure}
    CAST(NULL AS VARCHAR) AS proposal_id,       -- programme {meta.id;obs.proposal}
    CAST(NULL AS VARCHAR) AS data_rights,       -- PUBLIC, EXCLUSIVE_ACCESS or RESTRICTED {meta.code}
    CAST(NULL AS DOUBLE) AS distance_arcsec     -- distance of the position from the footprint [arcsec] {pos.angDistance}
WHERE FALSE
