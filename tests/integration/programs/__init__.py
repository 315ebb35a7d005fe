"""Programs that a test runs: each publishes in a way of its own."""
