"""Transformers of every patch size: made of plain ones, trained, measured, and chosen for a budget."""
