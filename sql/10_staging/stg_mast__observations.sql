-- stg_mast__observations: what the space archive MAST holds at the places of the objects that it was asked about.
--
-- grain:  one row per object_id and observation, or one without obsid where MAST has nothing
-- key:    object_id, obsid
-- kind:   view
-- inputs: mast.observation
-- source: MAST, Mast.Caom.Crossmatch and Mast.Caom.Cone, or its CAOM TAP service
-- nulls:  obsid is NULL where MAST was asked and has nothing within the radius; an object without a row was never asked about. An
--         exposure below zero, which stands for a missing one, is NULL
-- rule:   of rows with the same object and observation (planes of several levels of calibration) the most calibrated one

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                -- survey object {meta.id;meta.main}
    CAST(obsid AS BIGINT) AS obsid,                                        -- MAST's number of the observation {meta.record;obs}
    CAST(upper(trim(obs_collection)) AS VARCHAR) AS obs_collection,        -- mission or collection, in capitals {meta.id;obs}
    CAST(upper(trim(instrument_name)) AS VARCHAR) AS instrument_name,      -- instrument, in capitals {meta.id;instr}
    CAST(coalesce(nullif(trim(provenance_name), ''), nullif(trim(project), '')) AS VARCHAR) AS provenance_name,             -- pipeline, or team of a high-level product {meta.id;meta.software}
    CAST(trim(filters) AS VARCHAR) AS filters,                             -- filters or gratings {meta.id;instr.filter}
    CAST(trim(target_name) AS VARCHAR) AS target_name,                     -- target as the mission calls it {meta.id;obs}
    CAST(trim(obs_id) AS VARCHAR) AS obs_id,                               -- the mission's own name of the observation {meta.id;obs}
    CAST(lower(trim(dataproduct_type)) AS VARCHAR) AS dataproduct_type,    -- image, spectrum, timeseries, ... {meta.code.class}
    CAST(calib_level AS INTEGER) AS calib_level,                           -- 0 raw to 4 contributed, -1 planned {meta.code.status}
    CAST(lower(trim(intentType)) AS VARCHAR) AS intent,                    -- science or calibration {meta.code}
    CAST(t_min AS DOUBLE) AS t_min_mjd,                                    -- start, MJD [d] {time.start;obs.exposure}
    CAST(t_max AS DOUBLE) AS t_max_mjd,                                    -- end, MJD [d] {time.end;obs.exposure}
    CAST(CASE WHEN t_exptime >= 0 THEN t_exptime END AS DOUBLE) AS exposure_s, -- exposure time; of a time series that of one cadence [s] {time.duration;obs.exposure}
    CAST(trim(proposal_id) AS VARCHAR) AS proposal_id,                     -- programme {meta.id;obs.proposal}
    CAST(upper(trim(dataRights)) AS VARCHAR) AS data_rights,               -- PUBLIC, EXCLUSIVE_ACCESS or RESTRICTED {meta.code}
    CAST(distance AS DOUBLE) AS distance_arcsec                            -- distance of the position from the footprint [arcsec] {pos.angDistance}
FROM mast.observation
WHERE object_id IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY object_id, obsid ORDER BY calib_level DESC NULLS LAST, t_exptime DESC NULLS LAST, obs_id, t_min, distance, dataURL, _chunk_id
) = 1
