"""What monitors and kinds of logs show of a lock, with the real programs."""
