"""The import graph, and what core and crypto may not contain (DESIGN section 2)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).resolve().parent.parent / "agent" / "everpin"
PURE = sorted([*(AGENT / "core").glob("*.py"), *(AGENT / "crypto").glob("*.py")])
STDLIB = {"hashlib"}


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (module, level) of what runs at import or later; TYPE_CHECKING blocks are for checkers."""
    tree = ast.parse(path.read_text())

    def walk(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
        for node in nodes:
            if (
                isinstance(node, ast.If)
                and isinstance(node.test, ast.Name)
                and node.test.id == "TYPE_CHECKING"
            ):
                continue
            yield from ast.walk(node)

    for node in walk(tree.body):
        if isinstance(node, ast.Import):
            yield from ((item.name, 0) for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_core_and_crypto_import_nothing_that_does_io(path: Path) -> None:
    for module, level in _imports(path):
        if level == 0:
            allowed = module in STDLIB or (
                path.name in ("_native.py", "_native_links.py", "_aes.py")
                and module.startswith("cryptography")
            )
            assert allowed, f"{path.name} imports {module}"
        elif level == 2:
            # CCM stands on the one name that both interpreters' AES has.
            allowed = (
                ("compat", "crypto", "crypto.ccm", "")
                if path.parent.name == "core"
                else ("compat",)
            )
            assert module in allowed or (path.name, module) == ("ccm.py", "ucryptolib")


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_core_and_crypto_have_no_assert_print_or_broad_except(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert)
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert not (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "open", "input", "eval", "exec")


def test_the_agent_imports_nothing_of_the_tools() -> None:
    for path in AGENT.rglob("*.py"):
        for module, level in _imports(path):
            assert level or not module.startswith(
                ("everpin_fleet", "everpin_sim", "everpin_hil")
            ), path
