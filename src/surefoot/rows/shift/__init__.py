"""Rows as they might look elsewhere: corrupted pictures, noise where training had none, labels that are wrong."""
