"""What a cell does: files in, files out, and nothing else read."""
