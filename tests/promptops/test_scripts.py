"""Our scripts' modules: every import leads to a file, and no module imports itself by way of others."""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("promptops", "workflows", "agents", "prompts", "governance")
#: `import {...} from "./x.js"`, `import "./x.js"`, `export {...} from "./x.js"` and `import("./x.js")`.
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


def modules() -> dict[str, str]:
    """The text of each of our modules, by its path below /static/, where all rooms' files are served together."""
    folders = [ROOT / room / "static" for room in ROOMS]
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for folder in folders
        for file in folder.rglob("*.js")
        if "vendor" not in file.parts
    }


def imports(scripts: dict[str, str]) -> dict[str, list[str]]:
    return {path: [resolved(path, found) for found in IMPORT.findall(text)] for path, text in scripts.items()}


def resolved(path: str, relative: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(path).parent / relative).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def circle(graph: dict[str, list[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def missing(graph: dict[str, list[str]]) -> Iterator[str]:
    folders = [ROOT / room / "static" for room in ROOMS]
    for path, wanted in graph.items():
        yield from (f"{path}: {one}" for one in wanted if not any((folder / one).is_file() for folder in folders))


def test_every_import_leads_to_a_file() -> None:
    graph = imports(modules())
    assert any(graph.values())
    assert list(missing(graph)) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(imports(modules())) == []


@pytest.mark.parametrize(
    "statement",
    [
        'import { a } from "../b/two.js";',
        'import {\n  a,\n} from "../b/two.js";',
        'import "../b/two.js";',
        'export { a } from "../b/two.js";',
        'await import("../b/two.js");',
    ],
)
def test_a_circle_is_found_however_it_is_imported(statement: str) -> None:
    scripts = {
        "a/one.js": statement,
        "b/two.js": "import { b } from '../b/three.js';",
        "b/three.js": 'import "../a/one.js";',
    }
    assert set(circle(imports(scripts))) == {"a/one.js", "b/two.js", "b/three.js"}
