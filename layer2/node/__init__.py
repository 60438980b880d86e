"""The relayer's HTTP service, its wire format and a client for it. May import everything but wallet and scripts."""
