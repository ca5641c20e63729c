"""Floor 5: the evidence of a model, marginal and conditional, and what it can and cannot be believed about."""
