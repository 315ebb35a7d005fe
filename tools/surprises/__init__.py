"""What surprises users, measured with real workers: the numbers that the pages say aloud."""
