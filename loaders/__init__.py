"""Bytes from an archive to rows in the warehouse: one module per kind of file or service."""
