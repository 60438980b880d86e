"""The ledger of the ZK rollup: accounts, their tree, operations, the state transition (docs/protocol.md §2–§4).

May import `layer2.crypto` only; knows nothing of circuits, chains or storage.
"""
