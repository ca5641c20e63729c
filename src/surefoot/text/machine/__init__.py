"""The step of a small decoder as one function of machine code, made for its sizes."""
