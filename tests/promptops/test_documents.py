"""What documents, comments and docstrings name is there: files, folders, modules and what is in them, links."""

import ast
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tree import CODE, ROOT, files

#: A file or a folder below one of our folders, such as `governance/runs/log.py` or `workflows/steps/`.
PATH = re.compile(rf"(?<![\w./<:-])(?:{'|'.join(CODE)})/[\w./-]*\w")
#: A Python file by its name alone.
NAME = re.compile(r"(?<![\w./*<-])\w+\.py\b")
#: A module, and perhaps a name in it, such as `governance.core.errors` or `bench.servers.seed`.
MODULE = re.compile(rf"(?<![\w./@\"'-])(?:{'|'.join(CODE)})(?:\.[A-Za-z_]\w*)+")
#: Of a Markdown link whose target is a file of ours.
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
#: Ids of system checks, migrations by number, and models by app and name are written like modules.
OTHERS = re.compile(r"promptops\.[EW]\d+|governance\.[A-Z]\w*")

DOCUMENTS = [*sorted(ROOT.glob("*.md")), ROOT / "frontend/README.md", *files("docs", "sdk", suffix=".md")]
SOURCES = [ROOT / "manage.py", *(path for path in files(*CODE, suffix=".py") if "migrations" not in path.parts)]


def text_of(document: Path) -> str:
    """The text; of the changelog the part that is not released, since the rest speaks of what was."""
    text = document.read_text()
    return text.partition("## [0.")[0] if document.name == "CHANGELOG.md" else text


def prose_of(source: Path) -> str:
    """The comments and docstrings of a Python file."""
    text = source.read_text()
    nodes = ast.walk(ast.parse(text))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*docstrings, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def missing_from(text: str, *, modules: bool = True) -> Iterator[str]:
    """Each file or folder, and each of our `modules`, that the text names and that is not there."""
    names = {path.name for path in SOURCES}
    for path in PATH.findall(text):
        if not (ROOT / path).exists():
            yield path
    for name in NAME.findall(text):
        if name not in names:
            yield name
    for module in MODULE.findall(text) if modules else ():
        if not OTHERS.fullmatch(module) and not _is_there(module):
            yield module


def of_the_client(path: Path) -> bool:
    """Whether it is of the Python client, in whose examples `prompts` is a variable."""
    return path.is_relative_to(ROOT / "sdk")


def _is_there(dotted: str) -> bool:
    """Whether it is a module, or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir() or path.with_suffix(".py").is_file():
            break
    rest = parts[length:]
    if not rest:
        return True
    found: object = importlib.import_module(".".join(parts[:length]))
    for name in rest:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_modules_and_links_that_a_document_names_are_there(document: Path) -> None:
    text = text_of(document)
    assert list(missing_from(text, modules=not of_the_client(document))) == []
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []


def test_files_and_modules_that_comments_and_docstrings_name_are_there() -> None:
    missing = {path: list(missing_from(prose_of(path), modules=not of_the_client(path))) for path in SOURCES}
    assert {str(path.relative_to(ROOT)): names for path, names in missing.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see governance/core/db.py and `prompts/content/`", []),
        ("see governance/core/nothing.py", ["governance/core/nothing.py"]),
        ("a folder `prompts/nothing/` of ours", ["prompts/nothing"]),
        ("`nothing_at_all.py` in the same folder as db.py", ["nothing_at_all.py"]),
        ("governance.core.db.ago, governance.core.errors and bench.report", []),
        ("governance.core.db.nothing", ["governance.core.db.nothing"]),
        ("https://example.com/prompts/nothing.html and /api/prompts/publish", []),
        ("promptops.E001 is a check, governance.LogCount a model", []),
    ],
)
def test_what_is_named_and_not_there_is_found(text: str, missing: list[str]) -> None:
    assert list(missing_from(text)) == missing
