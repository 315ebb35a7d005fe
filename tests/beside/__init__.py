"""Locked tasks beside tools that write into messages: real packages, real workers."""
