"""Students in a study: bases that are trained on somebody's labels, and what is measured of them."""
