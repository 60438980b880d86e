"""Access to Ethereum: contracts, deployment files, logs and transactions.

May import `layer2.crypto`, `layer2.ledger`, `layer2.optimistic` and web3. Library code takes a connected `web3.Web3`,
wherever it comes from; Ape's provider has one. Nothing here knows of actors, HTTP services or scripts.
"""
