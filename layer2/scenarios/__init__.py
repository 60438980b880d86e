"""Stories of rollups and channels, told on a real chain: `ape run scenario`. May import everything of this package but
the scripts.
"""
