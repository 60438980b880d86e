"""Layer 2 for Ethereum."""
