"""Transfers between accounts in both directions, by tasks that lock two accounts each."""
