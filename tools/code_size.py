"""Print the package's lines of code, without docstrings, comments and blank lines, and its longest functions."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "airflow_provider_magichour"
LONGEST = 40
# What is shipped with the provider, and is none of it.
BESIDE = ("sandbox", "example_dags")


def code_lines(source: str) -> dict[int, str]:
    """Return the number of each line that holds code, and what it is there for."""
    tree = ast.parse(source)
    kinds: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _note(kinds, node, "imports")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            kinds.update(dict.fromkeys(range(first, max(node.lineno + 1, node.body[0].lineno)), "signatures"))
        elif isinstance(node, ast.Raise):
            _note(kinds, node, "errors and their messages")
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            _note(kinds, node, "constants and tables")
    return {line: kinds.get(line, "all else") for line in _lines_with_code(source) - _docstrings(tree)}


def _note(kinds: dict[int, str], node: ast.stmt, kind: str) -> None:
    for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        kinds.setdefault(line, kind)


def _lines_with_code(source: str) -> set[int]:
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {line for each in tokens if each.type not in layout for line in range(each.start[0], each.end[0] + 1)}


def _docstrings(tree: ast.Module) -> set[int]:
    """Return the lines of strings that stand alone: docstrings, also those of constants."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


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
    total, longest = Counter[str](), []
    kinds = Counter[str]()
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text()
        lines = code_lines(source)
        longest += functions(ast.parse(source), path)
        beside = path.relative_to(PACKAGE).parts[0]
        if beside in BESIDE:
            total[beside] += len(lines)
        else:
            total["package"] += len(lines)
            kinds.update(lines.values())
        print(f"{len(lines):5}  {path.relative_to(PACKAGE)}")
    print(f"\n{total['package']:5}  package without the {' and the '.join(BESIDE)}, of which")
    for kind, count in kinds.most_common():
        print(f"{count:9}  {kind}")
    for beside in BESIDE:
        print(f"{total[beside]:5}  {beside}")
    print("\nlongest functions:")
    for length, name in sorted(longest, reverse=True)[:8]:
        print(f"{length:5}  {name}{'  (over 40)' if length > LONGEST else ''}")


if __name__ == "__main__":
    main()
