-- stg_followup__observations: what follow-up observations showed, as the user wrote it down.
--
-- grain:  one row per object_id and observation
-- key:    object_id, observed_on, instrument (not unique: several spectra of a night may be told)
-- kind:   view
-- inputs: followup.observations
-- source: the user's own record (followup.csv beside the archive's files)
-- nulls:  nobody looked, or nobody wrote it down; never a no. A date that is none and a number that is not finite are NULL here;
--         aud_followup__values refuses them
-- rule:   rows that are the same in every column are one observation. Without star_class the class is the capitals that spectral_type
--         begins with

SELECT DISTINCT
    CAST(object_id AS BIGINT) AS object_id,                                         -- survey object {meta.id;meta.main}
    TRY_CAST(trim(observed_on) AS DATE) AS observed_on,                             -- date of the observation {time.epoch;obs}
    CAST(nullif(trim(instrument), '') AS VARCHAR) AS instrument,                    -- telescope and instrument {meta.id;instr}
    CAST(is_cool_giant AS BOOLEAN) AS is_cool_giant,                                -- the spectrum shows a cool giant {meta.code.class}
    CAST(upper(coalesce(nullif(trim(star_class), ''), nullif(regexp_extract(trim(spectral_type), '^[A-Z]+'), ''))) AS VARCHAR) AS star_class, -- class of the giant, as M, S or C {src.class}
    CAST(CASE WHEN isfinite(h_alpha_flux) THEN h_alpha_flux END AS DOUBLE) AS h_alpha_flux, -- flux of H alpha above the continuum, erg/s/cm2 [mW.m**-2] {phot.flux;spect.line;em.opt.R}
    CAST(CASE WHEN isfinite(h_beta_flux) THEN h_beta_flux END AS DOUBLE) AS h_beta_flux,    -- flux of H beta [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(CASE WHEN isfinite(h_gamma_flux) THEN h_gamma_flux END AS DOUBLE) AS h_gamma_flux, -- flux of H gamma [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(CASE WHEN isfinite(h_delta_flux) THEN h_delta_flux END AS DOUBLE) AS h_delta_flux, -- flux of H delta [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(is_extinction_corrected AS BOOLEAN) AS is_extinction_corrected,            -- the fluxes are corrected for extinction {meta.code}
    CAST(CASE WHEN isfinite(e_b_v) THEN e_b_v END AS DOUBLE) AS e_b_v,              -- E(B-V) for their correction [mag] {phot.color.excess}
    CAST(he_i AS BOOLEAN) AS he_i,                                                  -- He I in emission {meta.code;spect.line}
    CAST(nullif(trim(highest_ion), '') AS VARCHAR) AS highest_ion,                  -- ion of the highest ionisation potential seen in emission {phys.atmol.ionStage}
    CAST(CASE WHEN isfinite(ionisation_potential_ev) THEN ionisation_potential_ev END AS DOUBLE) AS ionisation_potential_ev, -- energy that it takes to make that ion [eV] {phys.energy;phys.atmol.ionization}
    CAST(is_flickering_validated AS BOOLEAN) AS is_flickering_validated,            -- optical flickering was validated extensively {meta.code;src.var}
    CAST(xray_hard_photons AS BOOLEAN) AS xray_hard_photons                         -- unambiguous hard X-ray photons {meta.code;em.X-ray.medium}
FROM followup.observations
WHERE object_id IS NOT NULL
