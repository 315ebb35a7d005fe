"""Tests with real workers and real servers."""
