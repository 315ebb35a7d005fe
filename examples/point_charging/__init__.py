"""Point charging: what a missing lock costs, played with real workers, and then with a lock."""
