"""A stand-in for Docker: pytest-celery's own fixtures and classes, on plain processes.

pytest-celery reaches Docker through one session fixture, `docker_client`. `ProcessDockerClient`
answers what it and pytest-docker-tools ask: an image is a recipe, a container is a process, a
volume is a folder, a network is a name. With the override left out the same tests run on Docker.

This does not: isolate anything, limit memory, part networks, or run other versions of Python.
"""

from tests.procdocker.client import ProcessDockerClient
from tests.procdocker.polling import poll_fast

__all__ = ["ProcessDockerClient", "poll_fast"]
