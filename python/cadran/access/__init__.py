"""Who asks, and what they may see: callers, tokens, policy, limits, and the record of questions."""
