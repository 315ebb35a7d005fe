"""Celery apps that real workers run: `worker_factory("tests.integration.apps.<name>")`."""
