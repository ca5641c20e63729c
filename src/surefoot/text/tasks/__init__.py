"""Tasks whose answers can be checked: each makes problems, writes demonstrations and grades answers."""
