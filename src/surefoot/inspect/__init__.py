"""The rim to Inspect: our suites as its tasks, our policies as its models, and its logs as our findings."""
