"""Floor 3: likelihoods, priors, pools, and the objective and posterior made of them."""
