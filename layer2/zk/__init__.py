"""The zero-knowledge half: segments and batches as bytes and field elements, circuits, keys, witnesses and proofs.

May import `layer2.crypto`, `layer2.ledger` and `layer2.toolchain`; knows nothing of chains.
"""
