"""Small ReLU networks on few rows: whole trajectories as one function of machine code, made for their sizes."""
