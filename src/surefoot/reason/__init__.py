"""Models that think first: imitation, reinforcement, and whether the thought is what is answered."""
