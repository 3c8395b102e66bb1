"""Pages that are made from the code, each time that the site is built."""

import shutil
from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path) -> None:
    """Writes all pages below `folder`, and removes those that an earlier build left there."""
    from site_pages.methods import method_pages
    from site_pages.recipes import recipe_pages  # late, as it needs Sphinx, and tests of single pages do not
    from site_pages.reference import reference_pages

    pages: Mapping[str, str] = {**method_pages(), **recipe_pages(), **reference_pages()}
    for path, text in pages.items():
        file = folder / f"{path}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:  # else Sphinx would read it again
            file.write_text(text, encoding="utf-8")
    for file in folder.rglob("*.md"):
        if str(file.relative_to(folder).with_suffix("")) not in pages:
            file.unlink()
    for empty in [child for child in folder.iterdir() if child.is_dir() and not any(child.rglob("*.md"))]:
        shutil.rmtree(empty)
