"""A world of requests and rules in which right and wrong are known."""
