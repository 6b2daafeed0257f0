"""The runner of sql/: parse, order, build, audit."""
