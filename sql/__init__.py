"""The science as SQL, read top to bottom; every file runs unedited in a DuckDB shell."""
