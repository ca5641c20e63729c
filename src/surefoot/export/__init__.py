"""Finished heads and models for other runtimes: torch, safetensors, ONNX. `surefoot.sklearn` makes scikit-learn's.

Nothing here learns or measures; what is written predicts as the model did. No file is a pickle.
"""
