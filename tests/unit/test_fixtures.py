"""What Ape's isolation needs of this suite."""

import ast
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parent.parent


def test_a_fixture_name_has_one_scope():
    """Ape knows fixtures by name alone, and which snapshot one belongs to by its scope: where two fixtures of one name
    have two scopes, it reverts the chain too far, depending on which tests ran before."""
    scopes: dict[str, dict[str, str]] = defaultdict(dict)
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.fixture"):
                        scopes[node.name][scope_of(decorator)] = str(path)
    assert scopes
    assert {name: found for name, found in scopes.items() if len(found) > 1} == {}


def scope_of(decorator: ast.expr) -> str:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    return next((str(ast.literal_eval(word.value)) for word in keywords if word.arg == "scope"), "function")
