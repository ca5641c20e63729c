"""Who says what an answer is worth: phrases, classifiers, models."""
