"""How large files and folders may become, so that somebody new finds their way."""

from collections import Counter

from tests.tree import CODE, ROOT, files

#: Files that a folder may have beside its packages.
MOST_FILES = 14

MOST_LINES = 400

FILES = files(*CODE)


def test_no_folder_has_more_files_than_one_takes_in_at_a_glance() -> None:
    count = Counter(str(path.parent.relative_to(ROOT)) for path in FILES)
    assert {folder: number for folder, number in count.items() if number > MOST_FILES} == {}


def test_no_module_of_the_product_is_longer_than_400_lines() -> None:
    modules = [path for path in FILES if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "tests"]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}
