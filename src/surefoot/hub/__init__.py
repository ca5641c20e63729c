"""Anybody's model as features, and back: pretrained encoders in, repaired models out."""
