-- stg_followup__observations: what follow-up observations showed, as the user wrote it down.
--
-- grain:  one row per object_id and observation
-- key:    object_id, observed_on, instrument (not unique: several spectra of a night may be told)
-- kind:   view
-- source: this release has no such table; the view has its columns and no rows, so that the same SQL runs

SELECT
    CAST(NULL AS BIGINT) AS object_id,                      -- survey object {meta.id;meta.main}
    CAST(NULL AS DATE) AS observed_on,                      -- date of the observation {time.epoch;obs}
    CAST(NULL AS VARCHAR) AS instrument,                    -- telescope and instrument {meta.id;instr}
    CAST(NULL AS BOOLEAN) AS is_cool_giant,                 -- the spectrum shows a cool giant {meta.code.class}
    CAST(NULL AS VARCHAR) AS star_class,                    -- class of the giant, as M, S or C {src.class}
    CAST(NULL AS DOUBLE) AS h_alpha_flux,                   -- flux of H alpha above the continuum, erg/s/cm2 [mW.m**-2] {phot.flux;spect.line;em.opt.R}
    CAST(NULL AS DOUBLE) AS h_beta_flux,                    -- flux of H beta [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(NULL AS DOUBLE) AS h_gamma_flux,                   -- flux of H gamma [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(NULL AS DOUBLE) AS h_delta_flux,                   -- flux of H delta [mW.m**-2] {phot.flux;spect.line;em.opt.B}
    CAST(NULL AS BOOLEAN) AS is_extinction_corrected,       -- the fluxes are corrected for extinction {meta.code}
    CAST(NULL AS DOUBLE) AS e_b_v,                          -- E(B-V) for their correction [mag] {phot.color.excess}
    CAST(NULL AS BOOLEAN) AS he_i,                          -- He I in emission {meta.code;spect.line}
    CAST(NULL AS VARCHAR) AS highest_ion,                   -- ion of the highest ionisation potential seen in emission {phys.atmol.ionStage}
    CAST(NULL AS DOUBLE) AS ionisation_potential_ev,        -- energy that it takes to make that ion [eV] {phys.energy;phys.atmol.ionization}
    CAST(NULL AS BOOLEAN) AS is_flickering_validated,       -- optical flickering was validated extensively {meta.code;src.var}
    CAST(NULL AS BOOLEAN) AS xray_hard_photons              -- unambiguous hard X-ray photons {meta.code;em.X-ray.medium}
WHERE FALSE
