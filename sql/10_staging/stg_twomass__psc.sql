-- stg_twomass__psc: 2MASS point sources, one row each.
--
-- grain:  one row per pts_key
-- key:    pts_key
-- kind:   view
-- inputs: ext.twomass_psc
-- source: 2MASS Point Source Catalog (Skrutskie et al. 2006), as the survey's archive keeps it
-- nulls:  ext_key is NULL where there is no extended-source counterpart; archives that write 0 for that are read alike
-- rule:   J, H, Ks stay DECIMAL with the catalogue's three decimals, so that a cut at 0.85 is exact; a source that came
--         twice is kept once, the first in the order below

SELECT
    CAST(pts_key AS BIGINT) AS pts_key,                  -- identifier of the point source {meta.id;meta.main}
    CAST(j_m AS DECIMAL(6, 3)) AS j_m,                   -- J magnitude, Vega [mag] {phot.mag;em.IR.J}
    CAST(j_msigcom AS DOUBLE) AS j_msigcom,              -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.J}
    CAST(h_m AS DECIMAL(6, 3)) AS h_m,                   -- H magnitude, Vega [mag] {phot.mag;em.IR.H}
    CAST(h_msigcom AS DOUBLE) AS h_msigcom,              -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.H}
    CAST(k_m AS DECIMAL(6, 3)) AS k_m,                   -- Ks magnitude, Vega [mag] {phot.mag;em.IR.K}
    CAST(k_msigcom AS DOUBLE) AS k_msigcom,              -- its error; NULL for an upper limit [mag] {stat.error;phot.mag;em.IR.K}
    CAST(trim(ph_qual) AS VARCHAR) AS ph_qual,           -- photometric quality of J, H, Ks; A is best {meta.code.qual}
    CAST(trim(cc_flg) AS VARCHAR) AS cc_flg,             -- contamination and confusion in J, H, Ks; 0 is none {meta.code.qual}
    CAST(gal_contam AS INTEGER) AS gal_contam,           -- contamination by an extended source; 0 is none {meta.code.qual}
    CAST(nullif(ext_key, 0) AS BIGINT) AS ext_key        -- extended-source counterpart; NULL is none {meta.id.cross}
FROM ext.twomass_psc
WHERE pts_key IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY pts_key
    ORDER BY j_m, h_m, k_m, ph_qual, cc_flg, gal_contam, ext_key, j_msigcom, h_msigcom, k_msigcom, _chunk_id
) = 1
