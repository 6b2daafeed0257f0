-- stg_tess__light_curve: points of TESS light curves, as their pipelines made them.
--
-- grain:  one row per object_id, sector and cadence
-- key:    object_id, sector, time_btjd (not unique: a file may tell a cadence twice)
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS object_id,      -- survey object, or the user's number of a comparison star {meta.id;meta.main}
    CAST(NULL AS INTEGER) AS sector,        -- TESS sector {meta.id;obs}
    CAST(NULL AS DOUBLE) AS time_btjd,      -- middle of the exposure, BJD(TDB) - 2457000 [d] {time.epoch;obs}
    CAST(NULL AS DOUBLE) AS flux,           -- flux in flux_unit {phot.flux;em.opt.I}
    CAST(NULL AS DOUBLE) AS flux_err,       -- its error {stat.error;phot.flux;em.opt.I}
    CAST(NULL AS INTEGER) AS quality,       -- QUALITY bits; 0 where the file has none {meta.code.qual}
    CAST(NULL AS VARCHAR) AS flux_column,   -- column of the file that flux is from {meta.id}
    CAST(NULL AS VARCHAR) AS flux_unit,     -- electron/s, or relative {meta.unit}
    CAST(NULL AS DOUBLE) AS tess_mag,       -- TESS magnitude as told [mag] {phot.mag;em.opt.I}
    CAST(NULL AS DOUBLE) AS flux_share,     -- share of the star in the flux of its aperture {stat.value}
    CAST(NULL AS VARCHAR) AS pipeline,      -- who made it {meta.id;meta.software}
    CAST(NULL AS BOOLEAN) AS is_comparison, -- given as a comparison giant {meta.code}
    CAST(NULL AS INTEGER) AS chunk_id       -- the load that brought the row, see meta.chunk {meta.id}
WHERE FALSE
