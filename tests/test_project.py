"""The repository keeps its own rules: layout, lengths, generated files, and nothing of the machine it was written on."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parent.parent
# DESIGN section 2.
FOLDERS = {
    "agent": "everpin",
    "fleet": "everpin_fleet",
    "firmware_sim": "everpin_sim",
    "hil": "everpin_hil",
}
LEFT_OUT = {".venv", ".git", "build", "dist", "__pycache__"}


def ours() -> list[Path]:
    """Return what git tracks or would track; without git, what is not a cache."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=TOP,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        found = (
            path for path in TOP.rglob("*") if not LEFT_OUT & set(path.relative_to(TOP).parts)
        )
        return sorted(
            path for path in found if path.is_file() and "_cache" not in path.parent.name
        )
    return sorted(TOP / name for name in done.stdout.decode().split("\0") if name)


OURS = [path for path in ours() if path.is_file()]
PACKAGES = [
    path for path in OURS if path.suffix == ".py" and path.relative_to(TOP).parts[0] in FOLDERS
]


def test_this_test_sees_the_repository() -> None:
    assert TOP / "pyproject.toml" in OURS
    assert len(PACKAGES) > 40


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_top_level_folder_has_its_package_and_a_readme(folder: str) -> None:
    assert (TOP / folder / FOLDERS[folder] / "__init__.py").is_file()
    text = (TOP / folder / "README.md").read_text("utf-8")
    assert re.match(rf"# {folder}\b", text)


def test_each_folder_has_its_extra_and_the_wheel_its_package() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    assert {"fleet", "sim", "hil", "dev", "all"} <= set(extras)
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == [f"{folder}/{package}" for folder, package in FOLDERS.items()]
    # The agent's own dependencies, and nothing else, come without an extra (DESIGN section 11).
    names = {re.split(r"[<>=~;\[ ]", item)[0] for item in project["project"]["dependencies"]}
    assert names == {"cryptography", "paho-mqtt"}


def test_no_file_names_the_machine_it_was_written_on() -> None:
    # In pieces, so that this file is not its own finding.
    homes = re.compile(
        rb"(?<![\w.~-])/(?:" + b"|".join([b"work", b"root", b"home", b"Users"]) + rb")/\w"
    )
    found = [
        f"{path.relative_to(TOP)}: {match.group().decode()}"
        for path in OURS
        for match in [homes.search(path.read_bytes())]
        if match
    ]
    assert found == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.relative_to(TOP)))
def test_a_file_of_more_than_400_lines_gives_its_reason(path: Path) -> None:
    text = path.read_text("utf-8")
    docstring = text.split('"""')[1] if text.startswith('"""') else ""
    assert text.count("\n") <= 400 or "One file because" in docstring


def mip_package() -> Any:
    spec = importlib.util.spec_from_file_location("mip_package", TOP / "tools" / "mip_package.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_mip_installs_is_the_device_s_part_of_the_agent() -> None:
    """`make generated` writes the list again."""
    assert (TOP / "agent/mip/package.json").read_text("utf-8") == mip_package().listing()


def test_each_file_that_mip_installs_is_found_from_its_list() -> None:
    folder = TOP / "agent" / "mip"
    listing = json.loads((folder / "package.json").read_text("utf-8"))
    targets = [target for target, _ in listing["urls"]]
    assert "everpin/core/agent.py" in targets
    assert not [target for target in targets if re.search("cpython|requests|aiohttp", target)]
    for target, source in listing["urls"]:
        assert (folder / source).resolve() == TOP / "agent" / target


def test_the_manifest_freezes_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[tuple[str, tuple[str, ...], str]] = []

    def package(name: str, files: tuple[str, ...], base_path: str, opt: int) -> None:
        frozen.append((name, files, base_path))

    folder = TOP / "agent" / "mip"
    monkeypatch.chdir(folder)  # as MicroPython's build does
    given = {"package": package, "metadata": lambda **_: None}
    exec(compile((folder / "manifest.py").read_text("utf-8"), "manifest.py", "exec"), given)  # noqa: S102
    ((name, files, base_path),) = frozen
    listing = json.loads((folder / "package.json").read_text("utf-8"))
    assert [f"{name}/{file}" for file in files] == [target for target, _ in listing["urls"]]
    for file in files:
        assert (folder / base_path / name / file).is_file()


def test_the_changelog_has_an_entry_for_this_version() -> None:
    version = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    headings = re.findall(r"^## (.*)$", (TOP / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert any(version in heading for heading in headings)


def test_each_decision_is_in_the_index() -> None:
    folder = TOP / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    for path in sorted(folder.glob("[0-9]*.md")):
        assert f"({path.name})" in index, path.name


@pytest.mark.parametrize("script", ["tools/setup.sh", ".ci/run"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = TOP / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert "set -euo pipefail" in path.read_text("utf-8")
