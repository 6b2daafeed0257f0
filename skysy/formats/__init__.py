"""Archive file formats written with units, UCDs and descriptions: Parquet, CSV, VOTable, FITS."""
