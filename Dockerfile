# The image of docker-compose.yml: the package, its examples, and Flower.
FROM python:3.13.5-slim-bookworm

RUN useradd --create-home celery && install --directory --owner=celery --group=celery /data
WORKDIR /app

COPY pyproject.toml README.md LICENSE ./
COPY tools/index_page.py tools/
COPY celery_lock celery_lock
RUN pip install --no-cache-dir '.[redis]' 'flower>=2.0.1,<3'

COPY examples examples
USER celery
