"""The demonstration: the whole workflow of the rollup on a local chain. May import everything but scripts."""
