"""Cryptography of both rollups: Poseidon, BabyJubJub, EdDSA, key derivation, Keccak.

Knows nothing of ledgers or chains and may import only third-party libraries. Nothing here runs in
constant time: signing in Python is for development and tests, and a secret used on a machine that
an attacker can time is not safe.
"""
