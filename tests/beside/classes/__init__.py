"""Base classes and results of other packages beside a lock: real packages, real workers."""
