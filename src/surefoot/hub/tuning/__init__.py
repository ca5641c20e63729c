"""Whole text models of Hugging Face taught a task: fine-tuned, by low-rank adapters, or by a head alone."""
