"""The optimistic rollup's state transition: records, trees, operations, signatures, chunks (docs/optimistic.md §1–§4).

May import `layer2.crypto` and `layer2.ledger`; knows nothing of chains, actors or storage.
"""
