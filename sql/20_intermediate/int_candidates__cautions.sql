-- int_candidates__cautions: what could make a sample object an outlier though it is no symbiotic star.
--
-- grain:  one row per object_id of the sample
-- key:    object_id
-- inputs: sample, int_selection__matched, colours, rapid_variability, simbad_status, int_photometry__brightest
-- source: the kinds of false positives to expect of the method: carbon and S stars, zero points that drift with reddening (Huang et al. 2021,
--         ApJ 907, 68), saturation, blends, few exposures, big errors
-- nulls:  NULL where it cannot be told: is_carbon_or_s where SIMBAD was not asked or has no match, the rest where the value is missing
-- rule:   no caution takes an object away; cautions says those that are TRUE in words

WITH flagged AS (
    SELECT
        s.object_id, b.main_type, s.ebmv_sfd, m.prox, r.n_u, c.ug_err, c.uv_err, c.n_nights_ug, c.n_nights_uv, r.e_mag_i, r.e_mag_j,
        CASE WHEN b.state = 'matched' THEN list_contains(getvariable('caution_simbad_types'), b.main_type) END AS is_carbon_or_s,      -- strange u, v and g of their own
        s.ebmv_sfd >= getvariable('caution_ebmv_mag') AS is_reddened,                                                                   -- u and v zero points drift
        coalesce(p.u_mag < getvariable('saturation_mag')[1] + getvariable('caution_saturation_margin_mag'), FALSE)
            OR coalesce(p.v_mag < getvariable('saturation_mag')[2] + getvariable('caution_saturation_margin_mag'), FALSE)
            OR coalesce(p.g_mag < getvariable('saturation_mag')[3] + getvariable('caution_saturation_margin_mag'), FALSE) AS is_near_saturation, -- in a Main Survey exposure
        m.prox < getvariable('caution_prox_arcsec') AS is_blended,                                                                      -- another source is near
        c.n_nights_ug < getvariable('caution_nights') OR c.n_nights_uv < getvariable('caution_nights') AS is_few_nights,              -- one night decides its colour
        r.n_u < getvariable('caution_u_exposures') AS is_few_exposures,                                                                 -- one pair decides its variability
        coalesce(c.ug_err > getvariable('caution_colour_err_mag'), FALSE) OR coalesce(c.uv_err > getvariable('caution_colour_err_mag'), FALSE)
            OR coalesce(greatest(r.e_mag_i, r.e_mag_j) > getvariable('caution_e_mag'), FALSE) AS is_big_error                           -- faint, or in poor conditions
    FROM sample AS s
    JOIN int_selection__matched AS m ON s.object_id = m.object_id
    LEFT JOIN colours AS c ON s.object_id = c.object_id
    LEFT JOIN rapid_variability AS r ON s.object_id = r.object_id
    LEFT JOIN simbad_status AS b ON s.object_id = b.object_id
    LEFT JOIN int_photometry__brightest AS p ON s.object_id = p.object_id
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                     -- survey object {meta.id;meta.main}
    CAST(is_carbon_or_s AS BOOLEAN) AS is_carbon_or_s,          -- SIMBAD calls it a carbon or S star {meta.code}
    CAST(is_reddened AS BOOLEAN) AS is_reddened,                -- E(B-V) at which the zero points of u and v are off {meta.code}
    CAST(is_near_saturation AS BOOLEAN) AS is_near_saturation,  -- a Main Survey measurement in u, v or g is near saturation {meta.code}
    CAST(is_blended AS BOOLEAN) AS is_blended,                  -- another survey source is near {meta.code}
    CAST(is_few_nights AS BOOLEAN) AS is_few_nights,            -- few nights behind u - g or u - v {meta.code}
    CAST(is_few_exposures AS BOOLEAN) AS is_few_exposures,      -- few u exposures in the sequence of the winning pair {meta.code}
    CAST(is_big_error AS BOOLEAN) AS is_big_error,              -- big errors of a colour or of the winning pair {meta.code}
    CAST(concat_ws('; ',
        CASE WHEN is_carbon_or_s THEN format('SIMBAD says {}', main_type) END,
        CASE WHEN is_reddened THEN format('reddened, E(B-V) {:.2f}: zero points of u and v drift', ebmv_sfd) END,
        CASE WHEN is_near_saturation THEN 'near saturation in a Main Survey exposure' END,
        CASE WHEN is_blended THEN format('next source at {:.1f} arcsec', prox) END,
        CASE WHEN is_few_nights THEN format('few nights: {} with u and g, {} with u and v', n_nights_ug, n_nights_uv) END,
        CASE WHEN is_few_exposures THEN format('only {} exposures in its sequence', n_u) END,
        CASE WHEN is_big_error THEN format('big errors: {}', concat_ws(', ',
            format('u-g {:.3f}', ug_err), format('u-v {:.3f}', uv_err), format('winning pair {:.4f} and {:.4f} mag', e_mag_i, e_mag_j))) END
    ) AS VARCHAR) AS cautions                                   -- the same in words; empty: none {meta.note}
FROM flagged
