"""The evidence of a network around its mode: one expansion, then precisions and noise in a moment."""
