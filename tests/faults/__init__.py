"""Every way a task can end, and every fault of a server, as scenarios with real processes."""
