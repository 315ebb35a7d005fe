"""Libraries that tests are written with, each with its real package: fixtures and frozen clocks."""
