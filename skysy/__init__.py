"""skysy: from sky archives to explained candidates, in one local DuckDB warehouse."""

__version__ = "0.1.0"
