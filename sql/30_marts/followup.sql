-- followup: what follow-up observations make of an object: symbiotic (SkySy), still a candidate (SkySyC), neither or undecided.
--
-- grain:  one row per object_id that was followed up
-- key:    object_id
-- inputs: stg_followup__observations, stg_survey__master
-- source: Lucy 2021. SkySy: a cool giant, and an ion above 35 eV in emission, or optical flickering validated extensively, or unambiguous
--         X-ray photons above 2.4 keV. SkySyC: a cool giant, and H alpha above all higher Balmer lines after correction for extinction,
--         and no S or carbon star unless He I is seen. Extinction: Cardelli, Clayton and Mathis 1989, ApJ 345, 245
-- nulls:  each criterion is TRUE, FALSE or NULL (nobody looked). NULL is carried through AND and OR as SQL does: a verdict that hangs on
--         what nobody looked at is undecided, never a no
-- rule:   of several observations any TRUE wins for what is detected (ion, flickering, X-rays, He I, Balmer lines), for a line may come and
--         go; else any FALSE; else NULL. What a star is (cool giant, S or carbon star) does not come and go: where observations
--         disagree it is NULL. The reason names every disagreement. Balmer lines are compared within one observation: H alpha above
--         zero and above beta, gamma and delta; one of these that is not below makes FALSE, one that is missing NULL. Fluxes that are
--         not corrected yet are corrected with the row's own e_b_v, else with ebmv_sfd of the whole line of sight, which is
--         rather too much and makes the test harder; fluxes of which nobody says whether they are corrected are not compared.
--         SkySy stands before SkySyC; neither is what fails both

WITH measured AS (
    SELECT
        o.*,
        CASE
            WHEN o.is_extinction_corrected THEN 0
            WHEN NOT o.is_extinction_corrected THEN coalesce(o.e_b_v, CAST(m.ebmv_sfd AS DOUBLE))
        END AS to_correct,
        o.is_extinction_corrected IS NOT TRUE AND o.e_b_v IS NULL AS by_catalogue
    FROM stg_followup__observations AS o
    LEFT JOIN stg_survey__master AS m ON o.object_id = m.object_id
),

corrected AS (
    SELECT
        *,
        h_alpha_flux * 10 ** (0.4e0 * to_correct * CAST(getvariable('balmer_extinction')[1] AS DOUBLE)) AS alpha,
        h_beta_flux * 10 ** (0.4e0 * to_correct * CAST(getvariable('balmer_extinction')[2] AS DOUBLE)) AS beta,
        h_gamma_flux * 10 ** (0.4e0 * to_correct * CAST(getvariable('balmer_extinction')[3] AS DOUBLE)) AS gamma,
        h_delta_flux * 10 ** (0.4e0 * to_correct * CAST(getvariable('balmer_extinction')[4] AS DOUBLE)) AS delta
    FROM measured
),

judged AS (
    SELECT
        *,
        alpha > 0 AND alpha > beta AND alpha > gamma AND alpha > delta AS alpha_strongest,
        ionisation_potential_ev > getvariable('ion_ev_min') AS has_high_ion,
        list_contains(getvariable('peculiar_classes'), star_class) AS is_peculiar
    FROM corrected
),

-- bool_or is TRUE if any is, NULL if all are; bool_and tells whether all that are known agree.
together AS (
    SELECT
        object_id,
        count(*) AS n_observations,
        min(observed_on) AS first_observed_on,
        max(observed_on) AS last_observed_on,
        CASE WHEN bool_or(is_cool_giant) = bool_and(is_cool_giant) THEN bool_or(is_cool_giant) END AS cool_giant,
        CASE WHEN bool_or(is_peculiar) = bool_and(is_peculiar) THEN bool_or(is_peculiar) END AS s_or_carbon,
        bool_or(alpha_strongest) AS balmer,
        bool_or(he_i) AS he_i,
        bool_or(has_high_ion) AS high_ion,
        bool_or(is_flickering_validated) AS flickering,
        bool_or(xray_hard_photons) AS hard_xrays,
        max(struct_pack(ev := ionisation_potential_ev, ion := highest_ion)) FILTER (WHERE ionisation_potential_ev IS NOT NULL) AS highest,
        bool_or(by_catalogue) FILTER (WHERE alpha_strongest IS NOT NULL) AS by_catalogue,
        bool_or(is_extinction_corrected IS NULL AND h_alpha_flux IS NOT NULL) AS correction_unknown,
        nullif(concat_ws(', ',
            CASE WHEN bool_or(is_cool_giant) <> bool_and(is_cool_giant) THEN 'a cool giant' END,
            CASE WHEN bool_or(has_high_ion) <> bool_and(has_high_ion) THEN 'high ions' END,
            CASE WHEN bool_or(is_flickering_validated) <> bool_and(is_flickering_validated) THEN 'flickering' END,
            CASE WHEN bool_or(xray_hard_photons) <> bool_and(xray_hard_photons) THEN 'hard X-rays' END,
            CASE WHEN bool_or(alpha_strongest) <> bool_and(alpha_strongest) THEN 'Balmer lines' END,
            CASE WHEN bool_or(is_peculiar) <> bool_and(is_peculiar) THEN 'an S or carbon star' END,
            CASE WHEN bool_or(he_i) <> bool_and(he_i) THEN 'He I' END
        ), '') AS disagreements
    FROM judged
    GROUP BY object_id
),

decided AS (
    SELECT
        *,
        cool_giant AND (high_ion OR flickering OR hard_xrays) AS is_skysy,
        cool_giant AND balmer AND (NOT s_or_carbon OR he_i) AS is_skysyc
    FROM together
),

worded AS (
    SELECT
        *,
        CASE
            WHEN is_skysy THEN 'SkySy'
            WHEN is_skysyc THEN 'SkySyC'
            WHEN NOT is_skysy AND NOT is_skysyc THEN 'neither'
            ELSE 'undecided'
        END AS verdict,
        format('{:.1f} eV', CAST(getvariable('ion_ev_min') AS DOUBLE)) AS ion_limit,
        format('{:.1f} keV', CAST(getvariable('xray_kev_min') AS DOUBLE)) AS xray_limit,
        coalesce(highest.ion, 'highest ion') || format(', {:.1f} eV', highest.ev) AS ion_words
    FROM decided
)

SELECT
    CAST(object_id AS BIGINT) AS object_id,                             -- survey object {meta.id;meta.main}
    CAST(verdict AS VARCHAR) AS verdict,                                -- SkySy, SkySyC, neither or undecided {meta.code.class}
    CAST(concat_ws('; ',
        CASE cool_giant WHEN TRUE THEN 'a cool giant' WHEN FALSE THEN 'no cool giant' ELSE 'not known whether a cool giant' END,
        CASE high_ion WHEN TRUE THEN 'emission from an ion above ' || ion_limit || ' (' || ion_words || ')' WHEN FALSE THEN 'no emission from an ion above ' || ion_limit || ' (' || ion_words || ')' ELSE 'ions not asked' END,
        CASE flickering WHEN TRUE THEN 'optical flickering validated' WHEN FALSE THEN 'optical flickering not validated' ELSE 'flickering not asked' END,
        CASE hard_xrays WHEN TRUE THEN 'X-ray photons above ' || xray_limit WHEN FALSE THEN 'no unambiguous X-ray photons above ' || xray_limit ELSE 'hard X-rays not asked' END,
        CASE balmer WHEN TRUE THEN 'H alpha above all higher Balmer lines' WHEN FALSE THEN 'H alpha not above all higher Balmer lines' ELSE 'Balmer lines not known' END
            || CASE WHEN by_catalogue THEN ' (corrected with the catalogue''s E(B-V))' WHEN balmer IS NULL AND correction_unknown THEN ' (nobody says whether they are corrected for extinction)' ELSE '' END,
        CASE s_or_carbon WHEN TRUE THEN 'an S or carbon star' WHEN FALSE THEN 'no S or carbon star' ELSE 'not known whether an S or carbon star' END,
        CASE he_i WHEN TRUE THEN 'He I seen' WHEN FALSE THEN 'no He I' ELSE 'He I not asked' END,
        'observations disagree on ' || disagreements
    ) AS VARCHAR) AS verdict_reason,                                    -- every criterion in words {meta.note}
    CAST(cool_giant AS BOOLEAN) AS is_cool_giant,                       -- it is a cool giant {meta.code.class}
    CAST(high_ion AS BOOLEAN) AS has_high_ion,                          -- emission from an ion above ion_ev_min {meta.code;spect.line}
    CAST(flickering AS BOOLEAN) AS is_flickering_validated,             -- optical flickering was validated {meta.code;src.var}
    CAST(hard_xrays AS BOOLEAN) AS xray_hard_photons,                   -- unambiguous X-ray photons above xray_kev_min {meta.code;em.X-ray.medium}
    CAST(balmer AS BOOLEAN) AS is_alpha_strongest,                      -- H alpha above all higher Balmer lines, corrected for extinction {meta.code;spect.line}
    CAST(s_or_carbon AS BOOLEAN) AS is_s_or_carbon,                     -- an S or carbon star {meta.code.class}
    CAST(he_i AS BOOLEAN) AS he_i,                                      -- He I in emission {meta.code;spect.line}
    CAST(highest.ion AS VARCHAR) AS highest_ion,                        -- ion of the highest ionisation potential {phys.atmol.ionStage}
    CAST(highest.ev AS DOUBLE) AS ionisation_potential_ev,              -- energy that it takes to make it [eV] {phys.energy;phys.atmol.ionization}
    CAST(disagreements AS VARCHAR) AS disagreements,                    -- criteria on which observations disagree {meta.note}
    CAST(n_observations AS INTEGER) AS n_observations,                  -- observations {meta.number}
    CAST(first_observed_on AS DATE) AS first_observed_on,               -- date of the first {time.start;obs}
    CAST(last_observed_on AS DATE) AS last_observed_on                  -- date of the last {time.end;obs}
FROM worded
