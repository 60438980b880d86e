"""A wallet: an L1 account, the Layer 2 key derived from it, and what one does with both.

May import everything but actors and scripts.
"""
