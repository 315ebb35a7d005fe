"""All that quotes the results: the page of numbers and the README's table.

python -m benchmarks.pages           write them anew from results.json; measures nothing
"""

from __future__ import annotations

from . import page, readme
from .results import Results

__all__ = ["write"]


def write(results: Results) -> None:
    """Write them all, and print the README's table, for a README that has none yet."""
    page.write(results)
    readme.write(results)
    print(f"\n{readme.table(results)}")


if __name__ == "__main__":
    write(Results.read())
