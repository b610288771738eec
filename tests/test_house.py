"""The rules of the house: floors, lengths, light imports, public names, and words in the docs that must stay true."""

import ast
import fnmatch
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "lamina"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 600
HEAVY = ("torch", "cv2", "scipy", "skimage", "psd_tools")


def ignored() -> list[str]:
    return [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines() if line]


def entries(folder: Path) -> list[Path]:
    """What lies in a folder of the repository, without what git ignores; a folder that holds nothing is not there."""
    found = [p for p in folder.iterdir() if not any(fnmatch.fnmatch(p.name, pattern) for pattern in ignored())]
    return [p for p in found if p.name != ".git" and (p.is_file() or entries(p))]


def files(folder: Path) -> list[Path]:
    return [f for p in entries(folder) for f in (files(p) if p.is_dir() else [p])]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_file_is_longer_than_the_limit() -> None:
    code = [path for path in files(ROOT) if path.suffix in (".py", ".js", ".ts")]
    assert len(code) > 50
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in code}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_imports_go_down_only() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("code", ["import lamina", "from lamina.cli import main; main(['--help'])"])
def test_importing_and_helping_load_nothing_heavy_and_are_quick(code: str) -> None:
    end = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{end}"], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "lamina" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert "numpy" not in loaded


def test_converting_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import lamina, numpy, sys\n"
        "layer = lamina.Layer(id='a', name='A', rgba=numpy.full((4, 4, 4), 9, numpy.uint8))\n"
        "lamina.write(lamina.Document(width=4, height=4, layers=(layer,)), 'a.zip')\n"
        "from lamina.cli import main\n"
        "assert main(['convert', 'a.zip', 'a.psd']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


def public_names(tree: ast.Module) -> set[str]:
    """Functions, classes and constants that a module defines under names without an underscore."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def listed_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["__all__"]:
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_lists_its_public_names(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert (ast.get_docstring(tree) or "").strip()
    defined, listed = public_names(tree), listed_names(tree)
    if not defined and listed is None:
        return
    assert listed is not None, f"{path.name} defines {sorted(defined)} and has no __all__"
    kinds = [(0 if n.isupper() else 1 if n[0].isupper() else 2, n) for n in listed]
    assert kinds == sorted(kinds)
    assert len(set(listed)) == len(listed)
    spare = set(listed) - defined if path != PACKAGE / "__init__.py" else set()
    imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert spare <= imported
    used_elsewhere = defined - set(listed) - local_names(tree)
    assert used_elsewhere == set()


def local_names(tree: ast.Module) -> set[str]:
    """Type variables, and loggers: public by name only."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and ast.unparse(node.value.func) in ("TypeVar", "logging.getLogger")
    }


def test_every_public_name_can_be_used() -> None:
    lamina = importlib.import_module("lamina")
    importlib.import_module("lamina.decompose.decomposer")  # importing the room must not hide the function
    for name in lamina.__all__:
        assert getattr(lamina, name) is not None
    assert callable(lamina.decompose)
    assert callable(lamina.composite)
    assert set(lamina.__all__) <= set(dir(lamina))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lamina.nonsense  # noqa: B018


def test_the_public_names_are_quick_to_ask_for_twice() -> None:
    lamina = importlib.import_module("lamina")
    assert lamina.Document is lamina.Document
    assert "Document" in vars(lamina)


def test_no_file_names_a_place_on_one_machine() -> None:
    pattern = re.compile(r"(?<![\w.~])/(?:home|work|Users|mnt|root)/\w")
    texts = [
        p
        for p in files(ROOT)
        if p.suffix in (".py", ".md", ".toml", ".txt", ".yaml", ".json", "") and p.stat().st_size < 1e6
    ]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        if pattern.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_the_help_in_the_docs_is_that_of_the_parser() -> None:
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text("utf-8") == tool.pages(), "run: .venv/bin/python docs/make_cli.py"


def tree_of_readme() -> dict[Path, list[Path]]:
    """Folder -> what the README's tree shows in it, for every folder whose content is shown.

    The tree is the code block after the mark. A line: indentation of three characters a level, names separated by
    " · ", two or more spaces, words. A name that ends in "/" is a folder.
    """
    text = (ROOT / "README.md").read_text("utf-8")
    block = text.split("<!-- tree -->")[1].split("```")[1].splitlines()[1:]
    shown: dict[Path, list[Path]] = {}
    above = [ROOT]
    for line in filter(str.strip, block):
        bare = line.lstrip("│├└─ ")
        level = (len(line) - len(bare)) // 3
        if level == 0:
            continue  # the name of the repository
        names = re.split(r"\s{2,}", bare)[0].split(" · ")
        del above[level:]
        folder = above[-1]
        shown.setdefault(folder, []).extend(folder / name.strip().rstrip("/") for name in names)
        above.append(folder / names[-1].strip().rstrip("/"))
    return shown


def test_the_tree_in_the_readme_is_the_one_on_disk() -> None:
    shown = tree_of_readme()
    assert PACKAGE / "document" in shown
    quiet = {"__init__.py", "py.typed"}
    for folder, names in shown.items():
        on_disk = {p for p in entries(folder) if p.name not in quiet and (folder != ROOT or p.name[0] != ".")}
        listed = {p for p in names if p.name not in quiet and (folder != ROOT or p.name[0] != ".")}
        assert sorted(map(str, listed)) == sorted(map(str, on_disk)), f"the tree of {folder.relative_to(ROOT)}/"
        assert all(p.exists() for p in names)


def test_the_links_in_the_docs_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    dead = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert dead == []
