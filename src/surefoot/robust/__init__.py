"""Floor 5: repairs of the last layer: balanced retraining, DFR, AFR, and the protocol that chooses among them."""
