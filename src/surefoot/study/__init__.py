"""Floor 8: a study file becomes cells, cells become a card; `engine/` is where cells run."""
