"""Preparedness: indicators, levels, and rules that let a model ship or keep it back."""
