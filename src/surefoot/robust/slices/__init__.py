"""Where a model is wrong more often than elsewhere: slices of the metadata, and clusters of features."""
