"""`feira COMMAND` with a failpoint armed: python -m tests.chaos.killed_at POINT[=ABOUT][#PASSES] COMMAND ...

    payments.refund.called            killed the first time it gets there
    jobs.claimed=payments.refund#2    the second time, counting that kind of job alone

`failpoints_in` lists the places there are, so that a crash matrix can be checked to leave none out.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from feira.__main__ import main
from feira.platform.runtime.failpoints import arm

ROOT = Path(__file__).parents[2]


def arm_by(words: str) -> None:
    """Arm this process by a description as above."""
    point, _, passes = words.partition("#")
    name, _, about = point.partition("=")
    arm(name, about=about or None, passes=int(passes or 1))


def failpoints_in(*parts: str) -> set[str]:
    """Every failpoint's name in some files and folders of the repository, such as `feira/jobs`."""
    files = [
        file
        for part in parts
        for file in ([ROOT / part] if (ROOT / part).is_file() else (ROOT / part).rglob("*.py"))
    ]
    return {name for file in files for name in _names(ast.parse(file.read_text()))}


def _names(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("failpoint"), args=[ast.Constant(value=str(name)), *_]):
                names.append(name)
            case ast.Call(func=ast.Name("failpoint")):
                raise AssertionError(f"line {node.lineno}: a failpoint's name is a literal")
            case _:
                pass
    return names


if __name__ == "__main__":
    arm_by(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
