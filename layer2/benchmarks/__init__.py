"""Measurements behind docs/benchmarks.md: `ape run bench`. May import everything of this package but the scripts."""
