"""Reading the house: its files, who imports whom, and what belongs to the repository."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "celery_lock"


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def scripts() -> list[Path]:
    return sorted(PACKAGE.rglob("*.lua"))


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def where(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def module(file: Path) -> str:
    """`celery_lock.keys.fields`; a folder's `__init__` is the folder."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    """The room of a module of the package: `celery_lock.keys.fields` stands in `keys`."""
    return name.split(".")[1] if "." in name else "celery_lock"


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each import, lazy ones too; `name` is "" for `import x`."""
    here = module(file).split(".")
    package = here if file.name == "__init__.py" else here[:-1]
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)


@cache
def arrows() -> dict[str, set[str]]:
    """Which module of the package imports which others; `from . import x` means x alone."""
    known = {module(file) for file in files()}
    return {
        module(file): {
            target
            for source, name in imports(file)
            if (target := f"{source}.{name}" if f"{source}.{name}" in known else source) in known
        }
        for file in files()
    }


def ring(graph: dict[str, set[str]]) -> list[str]:
    """One ring of a graph, as the names on it; empty when there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            found = walk(target, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def definitions(file: Path) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(file)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def own_files() -> list[Path]:
    """What belongs to the repository: git's list, or all that is no build product."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = list(ROOT.rglob("*"))
    built = {".git", ".venv", "build", "dist", "__pycache__"}
    return [
        path
        for path in paths
        if path.is_file()
        and not any(part in built or part.endswith("_cache") for part in path.parts)
        and path.suffix not in (".pyc", ".db", ".rdb", ".gz")
    ]
