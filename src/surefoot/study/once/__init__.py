"""Roads without a study file: each is what one command does with one file or model."""
