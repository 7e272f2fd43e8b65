"""Print the package's lines of code, without docstrings, comments and blank lines, and its longest functions."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "airflow_provider_magichour"
LONGEST = 40


def code_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword | ast.alias | ast.excepthandler):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                lines.add(node.lineno)
            elif not _is_docstring(node):
                lines.update((node.lineno, node.end_lineno or node.lineno))
    return lines


def _is_docstring(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else node
    return isinstance(value, ast.Constant) and isinstance(value.value, str) and value.col_offset % 4 == 0


def functions(tree: ast.Module, path: Path) -> list[tuple[int, str]]:
    """Return the length in lines of each function, without its docstring."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node):
                first = node.body[0]
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            found.append((length, f"{path.relative_to(PACKAGE)}:{node.name}"))
    return found


def main() -> None:
    """Print the figures."""
    total, longest = {"package": 0, "sandbox": 0}, []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        part = "sandbox" if "sandbox" in path.parts else "package"
        size = len(code_lines(tree))
        total[part] += size
        longest += functions(tree, path)
        print(f"{size:5}  {path.relative_to(PACKAGE)}")
    print(f"\n{total['package']:5}  package without the sandbox\n{total['sandbox']:5}  sandbox\n\nlongest functions:")
    for length, name in sorted(longest, reverse=True)[:8]:
        print(f"{length:5}  {name}{'  (over 40)' if length > LONGEST else ''}")


if __name__ == "__main__":
    main()
