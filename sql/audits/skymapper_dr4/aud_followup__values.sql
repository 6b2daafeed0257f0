-- aud_followup__values: dates of the follow-up record are dates, E(B-V) and potentials are not below zero, numbers are finite.
-- severity: error
-- inputs: followup.observations
-- rule:   read in the file as it was loaded: mend the row there, then load it again with --replace

SELECT object_id, observed_on, 'observed_on is no date as YYYY-MM-DD' AS what
FROM followup.observations WHERE observed_on IS NOT NULL AND NOT (regexp_full_match(trim(observed_on), '\d{4}-\d{2}-\d{2}') AND TRY_CAST(trim(observed_on) AS DATE) IS NOT NULL)
UNION ALL
SELECT object_id, observed_on, 'e_b_v' FROM followup.observations WHERE e_b_v < 0 OR NOT isfinite(e_b_v)
UNION ALL
SELECT object_id, observed_on, 'ionisation_potential_ev' FROM followup.observations WHERE ionisation_potential_ev < 0 OR NOT isfinite(ionisation_potential_ev)
UNION ALL
SELECT object_id, observed_on, 'a flux' FROM followup.observations
WHERE NOT isfinite(h_alpha_flux) OR NOT isfinite(h_beta_flux) OR NOT isfinite(h_gamma_flux) OR NOT isfinite(h_delta_flux)
