"""One module a story. Each has `play(stage)`, which tells it, checks it, and returns how it ends."""
