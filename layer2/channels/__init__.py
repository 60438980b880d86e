"""Payment channels and state channels (docs/channels.md): what is signed, and who signs, keeps, claims and watches.

May import `layer2.chain`, `layer2.actors` and `layer2.node`, not the rollups.
"""
