"""Several beats over one schedule, and what befalls them, as real processes."""
