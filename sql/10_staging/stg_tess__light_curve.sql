-- stg_tess__light_curve: points of TESS light curves, as their pipelines made them.
--
-- grain:  one row per object_id, sector and cadence
-- key:    object_id, sector, time_btjd (not unique: a file may tell a cadence twice)
-- scope:  chunk
-- kind:   view
-- inputs: tess.light_curve
-- source: files brought in with `skysy lightcurve` (docs/tess.md)
-- nulls:  a flux or a time that is not finite is NULL; a point without a time, or with an absurd one, cannot be placed, so it is no row here

SELECT
    CAST(object_id AS BIGINT) AS object_id,                                 -- survey object, or the user's number of a comparison star {meta.id;meta.main}
    CAST(sector AS INTEGER) AS sector,                                      -- TESS sector {meta.id;obs}
    CAST(time_btjd AS DOUBLE) AS time_btjd,                                 -- middle of the exposure, BJD(TDB) - 2457000 [d] {time.epoch;obs}
    CAST(CASE WHEN isfinite(flux) THEN flux END AS DOUBLE) AS flux,         -- flux in flux_unit {phot.flux;em.opt.I}
    CAST(CASE WHEN isfinite(flux_err) THEN flux_err END AS DOUBLE) AS flux_err, -- its error {stat.error;phot.flux;em.opt.I}
    CAST(coalesce(quality, 0) AS INTEGER) AS quality,                       -- QUALITY bits; 0 where the file has none {meta.code.qual}
    CAST(flux_column AS VARCHAR) AS flux_column,                            -- column of the file that flux is from {meta.id}
    CAST(flux_unit AS VARCHAR) AS flux_unit,                                -- electron/s, or relative {meta.unit}
    CAST(CASE WHEN isfinite(tess_mag) THEN tess_mag END AS DOUBLE) AS tess_mag, -- TESS magnitude as told [mag] {phot.mag;em.opt.I}
    CAST(CASE WHEN isfinite(flux_share) THEN flux_share END AS DOUBLE) AS flux_share, -- share of the star in the flux of its aperture {stat.value}
    CAST(pipeline AS VARCHAR) AS pipeline,                                  -- who made it {meta.id;meta.software}
    CAST(coalesce(is_comparison, FALSE) AS BOOLEAN) AS is_comparison,       -- given as a comparison giant {meta.code}
    CAST(_chunk_id AS INTEGER) AS chunk_id                                  -- the load that brought the row, see meta.chunk {meta.id}
FROM tess.light_curve
WHERE object_id IS NOT NULL
  AND sector IS NOT NULL
  AND abs(time_btjd) < 1e6
