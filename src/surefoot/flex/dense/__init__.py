"""A flexible transformer as a backbone: light heads for boxes, masks, segments and captions, at every patch size."""
