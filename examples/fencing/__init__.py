"""Fencing: a worker is paused past its lease, and the database refuses what it writes too late."""
