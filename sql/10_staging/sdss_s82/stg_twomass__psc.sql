-- stg_twomass__psc: 2MASS point sources, one row each.
--
-- grain:  one row per pts_key
-- key:    pts_key
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS pts_key,           -- identifier of the point source {meta.id;meta.main}
    CAST(NULL AS DECIMAL(6, 3)) AS j_m,        -- J magnitude, Vega [mag] {phot.mag;em.IR.J}
    CAST(NULL AS DOUBLE) AS j_msigcom,         -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.J}
    CAST(NULL AS DECIMAL(6, 3)) AS h_m,        -- H magnitude, Vega [mag] {phot.mag;em.IR.H}
    CAST(NULL AS DOUBLE) AS h_msigcom,         -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.H}
    CAST(NULL AS DECIMAL(6, 3)) AS k_m,        -- Ks magnitude, Vega [mag] {phot.mag;em.IR.K}
    CAST(NULL AS DOUBLE) AS k_msigcom,         -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.K}
    CAST(NULL AS VARCHAR) AS ph_qual,          -- photometric quality of J, H, Ks; A is best {meta.code.qual}
    CAST(NULL AS VARCHAR) AS cc_flg,           -- contamination and confusion in J, H, Ks; 0 is none {meta.code.qual}
    CAST(NULL AS INTEGER) AS gal_contam,       -- contamination by an extended source; 0 is none {meta.code.qual}
    CAST(NULL AS BIGINT) AS ext_key            -- extended-source counterpart; NULL is none {meta.id.cross}
WHERE FALSE
