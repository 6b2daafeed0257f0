-- Every threshold of the science, once. Each line: name = value; [unit] what it does (where it is from).
-- Change one for a single build with `skysy build --set name=value`, or for good in a file given as --parameters FILE.
-- Lucy 2021: A. B. Lucy, "archival data retrieval and analysis in the time domain (& accreting-only symbiotic binaries)", talk.
-- Lucy 2024: arXiv:2412.00855.

-- Cross-matches: the survey's own nearest neighbours, pre-matched within 15 arcsec.
SET VARIABLE twomass_dist_arcsec_max = 2.0;   -- [arcsec] nearest 2MASS PSC source must be closer (Lucy 2021, ADQL)
SET VARIABLE gaia_dist_arcsec_max = 2.0;      -- [arcsec] nearest Gaia source must be closer (Lucy 2021, ADQL)
SET VARIABLE allwise_dist_arcsec_max = 3.0;   -- [arcsec] nearest AllWISE source must be closer (Lucy 2021, ADQL)
SET VARIABLE prox_arcsec_min = 6.0;           -- [arcsec] next survey source must be farther (Lucy 2021, ADQL)

-- Quality of the catalogue rows.
SET VARIABLE ph_qual_allowed = 'AAA';         -- 2MASS photometric quality of J, H, Ks (Lucy 2021, ADQL)
SET VARIABLE cc_flg_allowed = '000';          -- 2MASS contamination and confusion flags of J, H, Ks (Lucy 2021, ADQL)
SET VARIABLE gal_contam_allowed = 0;          -- 2MASS extended-source contamination; 0 = none (Lucy 2021, ADQL)
SET VARIABLE class_star_min = 0.9;            -- stellarity must be greater, 0 to 1 (Lucy 2021, ADQL)
SET VARIABLE flags_psf_allowed = 0;           -- neighbours that bias the PSF magnitude by more than 1 %, bit mask; 0 = none (Lucy 2021, ADQL)
SET VARIABLE nch_max_allowed = 1;             -- child detections merged into the object in any filter; 1 = never split (Lucy 2021, ADQL)
SET VARIABLE ngood_min = 1;                   -- good observations needed in each of u, v and g (Lucy 2021, ADQL: u_ngood > 0)

-- Luminous red objects.
SET VARIABLE jk_mag_min = 0.85;               -- [mag] J - Ks must be redder, as observed: a pre-cut (Lucy 2021, ADQL)
SET VARIABLE j_mag_max = 14.0;                -- [mag] J must be brighter, for 2MASS signal to noise (Lucy 2021, ADQL)
SET VARIABLE jk0_mag_min = 0.85;              -- [mag] J - Ks corrected for reddening must be redder (Lucy 2021)
SET VARIABLE extinction_jk = 0.413;           -- E(J-Ks) per unit of E(B-V) of Schlegel et al. 1998 (recovered from 80 published (J-Ks)0; Schlafly & Finkbeiner 2011 coefficients 0.723 - 0.310)
SET VARIABLE abs_j_mag_max = 0.0;             -- [mag] absolute J magnitude, not corrected for extinction, must be brighter (Lucy 2021)
SET VARIABLE result_flags_allowed = [1, 2];   -- how a distance may have been found: 1 = mode and highest-density interval, 2 = median and quantiles, 0 = failed; "converged" taken as not 0 (Bailer-Jones et al. 2018)

-- What a release does not have: its own file of parameters, in 10_staging, names the cuts that cannot be made on it.
SET VARIABLE cuts_not_available = CAST([] AS VARCHAR[]); -- cuts of int_selection__cuts without any value in this release: they take nobody, and cut_flow marks them

-- Measurements: which single detections count.
SET VARIABLE mag_min = 0.0;                   -- [mag] PSF magnitude must be fainter: takes sentinels such as -99
SET VARIABLE mag_max = 30.0;                  -- [mag] PSF magnitude must be brighter: takes sentinels such as 99
SET VARIABLE e_mag_min = 0.0;                 -- [mag] error must be greater: zero and negative errors are no errors
SET VARIABLE e_mag_max = 1.0;                 -- [mag] error must be smaller
SET VARIABLE flags_limit = 4;                 -- SExtractor flags must be below: blends pass, saturated (4) and worse do not (survey's criterion for a good detection)
SET VARIABLE nimaflags_limit = 5;             -- flagged pixels must be fewer (survey's criterion for a good detection)
SET VARIABLE image_types_refused = ['bad'];   -- images whose measurements do not count

-- Colour sequences: u v g r u v i z u v, 100 s each, start to start 120 s (SkyMapper survey page; Lucy 2021).
SET VARIABLE sequence_image_types = ['ms'];   -- Main Survey images (SkyMapper survey page)
SET VARIABLE sequence_exp_time_s_max = 101.0; -- [s] longer Main Survey exposures (300 s, 400 s u, v pairs) are no colour sequence (SkyMapper survey page: 100 s in every band)
SET VARIABLE sequence_gap_min_max = 10.0;     -- [min] a longer pause between exposure starts of a field ends the sequence
SET VARIABLE sequence_adjacent_min_max = 3.0; -- [min] exposures that start closer than this follow each other directly
SET VARIABLE sequence_exposures_max = 10;     -- exposures in a whole sequence; what follows without a pause is another visit (SkyMapper survey page)

-- Nightly colours.
SET VARIABLE error_floor_mag = 0.01;          -- [mag] added in quadrature to each error, for colours only (the recipe behind the published colours; the survey reproduces u and v to 1 %)
SET VARIABLE nightly_variance = 'plain';      -- 'plain': sum(e^2)/N^2, the variance of a plain mean; 'weighted': 1/sum(1/e^2) (plain is in the recipe behind the published colours)
SET VARIABLE zero_point_correction = 'none';   -- 'none', 'add' or 'subtract': the published drift of the u and v zero points with E(B-V) (Huang et al. 2021, ApJ 907, 68; its sign is to be confirmed there)

-- Rapid variability.
SET VARIABLE rapid_filter = 'u';              -- filter whose exposures are compared; v has three a sequence too (Lucy 2021)
SET VARIABLE rapid_min_exposures = 2;         -- valid exposures a sequence needs
SET VARIABLE rapid_error_floor_mag = 0.01;    -- [mag] added in quadrature to each error in rapid_u_sigma_floored only

-- Effective sigma: what rapid delta-u sigma is for stars that do not vary.
SET VARIABLE effective_axis = 'u_mag';        -- 'u_mag' or 'error': sample objects are compared with those alike in mean u or in error
SET VARIABLE effective_bin_objects = 3000;    -- objects in a running bin; p_empirical resolves one in so many
SET VARIABLE effective_outlier_factor = 2.2;  -- objects above so many times the 95.5 % line of their bin do not count in it: of three Gaussian exposures 1 in 2 million

-- Candidates: limits that hold all 22 published new objects; a description, not the paper's own regions.
SET VARIABLE kde_bandwidth_mag = 0.1;         -- [mag] bandwidth of the Gaussian kernel density in (u-g, u-v) (recovered from published scores)
SET VARIABLE density_ln_max = -4.496;         -- ln density at or below this is an outlier in colour (holds 18 of the 22 published new objects)
SET VARIABLE rapid_u_sigma_min = 10.65;       -- rapid delta-u sigma at or above this is an outlier in variability (holds the other 4)
SET VARIABLE rapid_p_max = 0.0;               -- an outlier in variability too if p_scatter of effective_sigma is at or below this; 0 leaves this rule out
SET VARIABLE colour_box_ug_mag = [-99.0, 99.0]; -- [mag] an outlier in colour lies within these u - g; as wide as this all do
SET VARIABLE colour_box_uv_mag = [-99.0, 99.0]; -- [mag] an outlier in colour lies within these u - v; as wide as this all do

-- Cautions on candidates: none takes a candidate away.
SET VARIABLE caution_simbad_types = ['C*', 'C*?', 'C*_Candidate', 'S*', 'S*?', 'S*_Candidate', 'CarbonStar', 'S*Star']; -- carbon and S stars, whose u, v and g differ from those of other giants
SET VARIABLE caution_ebmv_mag = 0.3;          -- [mag] E(B-V) from which the survey's u and v zero points are off by more than 0.12 mag (Huang et al. 2021, table uv-zp-ebv)
SET VARIABLE saturation_mag = [10.0, 10.5, 13.0]; -- [mag] u, v and g at which one Main Survey exposure saturates (survey page)
SET VARIABLE caution_saturation_margin_mag = 0.5; -- [mag] measurements of Main Survey exposures brighter than saturation and this are near it
SET VARIABLE caution_prox_arcsec = 10.0;      -- [arcsec] a survey source closer than this may blend in poor seeing
SET VARIABLE caution_u_exposures = 3;         -- fewer u exposures in the sequence of the winning pair are few
SET VARIABLE caution_nights = 2;              -- fewer nights behind a colour are few
SET VARIABLE caution_colour_err_mag = 0.05;   -- [mag] greater errors of u - g or u - v are big
SET VARIABLE caution_e_mag = 0.02;            -- [mag] greater errors of the winning pair's exposures are big

-- Follow-up: what confirms a candidate, and what keeps it one.
SET VARIABLE ion_ev_min = 35.0;               -- [eV] the highest ion seen in emission must take more to be made (Lucy 2021: "emission from an ion > 35 eV")
SET VARIABLE xray_kev_min = 2.4;              -- [keV] hard X-ray photons are above this; words only, the observer decides (Lucy 2021)
SET VARIABLE peculiar_classes = ['S', 'SC', 'CS', 'C', 'CH', 'R', 'N']; -- classes of S and carbon stars, whose Balmer lines mislead without He I (Lucy 2021; Castelaz et al. 2000)
SET VARIABLE balmer_extinction = [2.535, 3.609, 4.174, 4.437]; -- [mag.mag**-1] A(lambda) / E(B-V) of H alpha, beta, gamma, delta (Cardelli, Clayton and Mathis 1989, R_V = 3.1)

-- Flickering in TESS light curves: the power spectrum between two frequencies, held against giants as bright.
SET VARIABLE tess_quality_refused = 55487;    -- bits of QUALITY whose points do not count: 1, 2, 4, 8 pointing, 16 Argabrightening, 32 desaturation, 128 by hand, 2048 and 4096 stray light, 16384 calibration, 32768 too few targets (TESS Science Data Products Description Document, table 28); not 64, 512 and 1024, which flickering may set off
SET VARIABLE tess_quality_breaks = 32;        -- bits of QUALITY after which the level may jump: 32 = reaction wheels desaturated, a momentum dump (TESS Science Data Products Description Document, table 28)
SET VARIABLE tess_gap_d = 0.2;                -- [d] a longer gap between points that count begins a new segment, with a trend of its own: the pause between orbits is longer, pointing settles within it
SET VARIABLE tess_bin_s = 1800.0;             -- [s] points of a faster cadence are averaged over this, so that all sectors have one band and one smearing: cadence of the full-frame images of sectors 1 to 26 (TESS Instrument Handbook)
SET VARIABLE tess_trend_d = 1.0;              -- [d] width of the running line that is taken away as trend: leaves power above three or four times 11.6 uHz as it is
SET VARIABLE tess_segment_bins = 24;          -- bins a segment needs: half a width of the trend, less has no trend of its own
SET VARIABLE tess_clip_sigma = 5.0;           -- bins farther than this many robust sigmas from the running median and from the running line do not count: of Gaussian noise one bin in two million
SET VARIABLE tess_band_uhz = [50.0, 200.0];   -- [uHz] frequencies in which flickering is looked for, periods of 1.4 to 5.6 h: above nu_max of giants with log g below 2.5 (nu_max = 3090 uHz (g / g_sun) (Teff / Teff_sun)^-0.5, Kjeldsen and Bedding 1995), below the noise band
SET VARIABLE tess_noise_uhz = [230.0, 270.0]; -- [uHz] frequencies whose mean power density is taken as that of white noise, up to the Nyquist frequency 278 uHz of 1800 s; flickering there is taken for noise, so its measure is rather too small
SET VARIABLE tess_span_d_max = 40.0;           -- [d] what spans more is no sector but several under one number, and gets no spectrum: a sector has 27 d, the longest 32
SET VARIABLE tess_bins_min = 240;             -- bins a sector needs for a measure: 5 d, and then 65 frequencies in the band
SET VARIABLE tess_compare_mag = 0.5;          -- [mag] comparison giants are as bright within this in TESS magnitude: noise and systematics go with brightness
SET VARIABLE tess_compare_stars = 20;         -- comparison giants needed: a rank among fewer says little, the smallest is 1 / (1 + number)
SET VARIABLE tess_zero_point_mag = 20.44;     -- [mag] TESS magnitude of 1 electron/s, where the file does not tell the star's (TESS Instrument Handbook: 20.44 +- 0.05)
SET VARIABLE tess_blend_arcsec = 15.0;        -- [arcsec] a survey source closer than this shares the TESS pixel of 21 arcsec; the survey looks no farther
SET VARIABLE tess_share_min = 0.8;            -- a smaller share of the star in the flux of its aperture (CROWDSAP) calls for caution

-- What is asked of the archives: the cuts above that can be made there, loosened, on this part of the sky.
SET VARIABLE archive_margin = 0.1;            -- fraction by which limits are loosened in the queries of sql/archive, so that cuts may change without a new download
SET VARIABLE archive_ra_deg = [0, 360];       -- [deg] right ascensions asked for, from and up to
SET VARIABLE archive_dec_deg = [-90, 10];     -- [deg] declinations asked for, from and up to; SkyMapper DR2 ends at about +2
SET VARIABLE archive_cone_arcsec = 2.0;       -- [arcsec] radius of a cone search around an object; rows of other objects are dropped (published radius unknown; prox > 6 arcsec)
SET VARIABLE archive_simbad_arcsec = 3.0;     -- [arcsec] radius of the match with SIMBAD (published radius unknown)
SET VARIABLE archive_mast_arcsec = 7.2;       -- [arcsec] how far from a candidate the footprint of an observation may lie (MAST's own default of a cross-match, 0.002 deg)

-- What the space archives hold: missions of which each candidate's page tells, whether there is anything or not.
SET VARIABLE mast_missions = ['Swift UVOT', 'Swift XRT', 'GALEX', 'IUE', 'HST', 'TESS', 'TESS FFI']; -- in the words of mast_observation
SET VARIABLE mast_in_bucket = ['HST', 'TESS', 'KEPLER', 'GALEX', 'PS1', 'JWST']; -- collections of which MAST keeps a copy in its public bucket; not Swift, IUE or FUSE (astroquery 0.4.11, mast/cloud.py)
