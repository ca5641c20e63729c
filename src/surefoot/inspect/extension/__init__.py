"""What Inspect loads of us, and the only part here that imports it: tasks, their scorer and metric, and a provider."""
