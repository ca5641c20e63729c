"""Floor 2: networks as pure functions, small architectures, feature extraction and its cache."""
