"""Supervision by a weaker model: losses on its labels, chains of students, and how much of the gap they recover."""
