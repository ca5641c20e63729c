"""Softmax heads: under any convex pool of losses, by the published descent, and by minibatches from a file."""
