"""Actors: the relayer and what it is made of, and the rebuild of the state from L1.

An actor has a synchronous `step()` that reads L1 from a stored cursor, acts, and stores where it is. May import
`layer2.crypto`, `layer2.ledger`, `layer2.zk` and `layer2.chain`; knows nothing of HTTP, loops and processes.
"""
