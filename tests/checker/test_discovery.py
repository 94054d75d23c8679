"""Which files are checked."""

from __future__ import annotations

import os

import pytest

from sqla_safe.checker._config import Config
from sqla_safe.checker._discovery import discover
from sqla_safe.checker._problems import UsageError
from tests.checker.support import write


def found(*paths: str, root=None, **settings) -> list[str]:
    """Return what is found below some paths."""
    from pathlib import Path

    return discover(paths or (".",), Config(**settings), root or Path.cwd())


def test_a_folder_is_its_python_files(here):
    """In the order of their names, and with all folders below."""
    write(here, {"b.py": "", "a/c.py": "", "a/b/d.py": "", "a/x.txt": "", "a/y.pyi": ""})
    assert found() == ["a/b/d.py", "a/c.py", "b.py"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (".", "app/x.py"),
        ("app", "app/x.py"),
        ("app/", "app/x.py"),
        ("./app", "app/x.py"),
        ("./app/x.py", "app/x.py"),
        ("app//x.py", "app/x.py"),
        ("./app/../app/x.py", "app/../app/x.py"),
        ("app/../app", "app/../app/x.py"),
    ],
    ids=["here", "folder", "slash", "dot", "file", "slashes", "file-up", "up"],
)
def test_paths_are_shown_as_they_were_given(here, given, shown):
    """Without the parts that say nothing."""
    write(here, {"app/x.py": ""})
    assert found(given) == [shown]


def test_an_absolute_path_stays_absolute(here):
    """Editors give them, and want them back."""
    write(here, {"app/x.py": ""})
    assert found(str(here / "app")) == [str(here / "app" / "x.py")]


def test_a_path_outside_is_shown_as_given(here):
    """Relative to where one is."""
    write(here, {"app/x.py": "", "other/y.py": ""})
    os.chdir(here / "app")
    assert found("../other") == ["../other/y.py"]


def test_a_way_up_behind_a_link_leads_where_the_system_leads(here):
    """Which is not where the words without the link lead."""
    write(here, {"deep/app/x.py": "", "deep/other/y.py": ""})
    (here / "link").symlink_to(here / "deep" / "app")
    assert found("link/../other") == ["link/../other/y.py"]


def test_a_named_file_needs_no_ending(here):
    """Scripts have none."""
    write(here, {"bin/run": ""})
    assert found("bin/run") == ["bin/run"]


def test_each_file_is_checked_once(here):
    """Whatever names it has; the first one is shown."""
    write(here, {"app/x.py": "", "app/y.py": ""})
    assert found("app/y.py", "app", "./app/x.py") == ["app/y.py", "app/x.py"]


def test_a_path_that_does_not_exist_is_a_mistake(here):
    """All of them are named; silence would look like success."""
    write(here, {"app/x.py": ""})
    with pytest.raises(UsageError) as caught:
        found("app", "ap", "x.py")
    assert caught.value.problems == (
        "ap: no such file or folder",
        "x.py: no such file or folder",
    )


@pytest.mark.parametrize("name", [".venv", "node_modules", ".git", "build/lib/site-packages"])
def test_some_folders_are_left_out(here, name):
    """What is there is not written by hand, or not here."""
    write(here, {f"{name}/x.py": "", "y.py": ""})
    assert found() == ["y.py"]


def test_a_folder_that_is_named_is_checked_all_the_same(here):
    """Naming it says that it is meant; what is left out by name inside stays out."""
    write(here, {".venv/lib/x.py": "", ".venv/lib/node_modules/y.py": ""})
    assert found(".venv/lib") == [".venv/lib/x.py"]


def test_force_exclude_leaves_named_files_out_too(here):
    """For pre-commit, which names files."""
    write(here, {".venv/x.py": "", "y.py": "", "gen/z.py": ""})
    paths = (".venv/x.py", "y.py", "gen")
    assert found(*paths, force_exclude=True, extend_exclude=("gen",)) == ["y.py"]


def test_exclude_counts_from_the_root(here):
    """A pattern with a slash is a path, one without is a name, as in .gitignore."""
    write(here, {"gen/x.py": "", "app/gen/x.py": "", "app/y_pb2.py": "", "app/z.py": ""})
    assert found(extend_exclude=("/gen", "*_pb2.py")) == ["app/gen/x.py", "app/z.py"]
    assert found("app", root=here, extend_exclude=("app/gen/",)) == ["app/y_pb2.py", "app/z.py"]


def test_exclude_replaces_the_defaults(here):
    """And extend-exclude does not."""
    write(here, {"venv/x.py": "", "y.py": ""})
    assert found(exclude=()) == ["venv/x.py", "y.py"]


def test_gitignore_is_respected(here):
    """Nested files too: the inner one has the last word."""
    write(
        here,
        {
            ".gitignore": "gen/\n*_local.py\n",
            "app/.gitignore": "!keep_local.py\n/only_here.py\n",
            "gen/x.py": "",
            "app/a_local.py": "",
            "app/keep_local.py": "",
            "app/only_here.py": "",
            "app/sub/only_here.py": "",
        },
    )
    assert found() == ["app/keep_local.py", "app/sub/only_here.py"]
    assert len(found(respect_gitignore=False)) == 5


def test_gitignore_files_around_count_up_to_the_repository(here):
    """And the repository's own list of excludes."""
    write(
        here,
        {
            ".gitignore": "*.py\n",
            "repo/.git/info/exclude": "secret.py\n",
            "repo/.gitignore": "local.py\n",
            "repo/app/x.py": "",
            "repo/app/local.py": "",
            "repo/app/secret.py": "",
        },
    )
    assert found("repo/app") == ["repo/app/x.py"]


def test_a_gitignore_outside_of_a_repository_is_somebody_elses(here):
    """Above, without a repository, it says nothing about this folder."""
    write(here, {".gitignore": "*.py\n", "app/x.py": ""})
    assert found("app") == ["app/x.py"]


def test_links_in_circles_end(here):
    """A link to a folder is not followed; one to a file is, once."""
    write(here, {"app/x.py": "", "shared/y.py": ""})
    (here / "app" / "loop").symlink_to(here / "app", target_is_directory=True)
    (here / "app" / "again.py").symlink_to(here / "app" / "x.py")
    (here / "app" / "y.py").symlink_to(here / "shared" / "y.py")
    (here / "app" / "gone.py").symlink_to(here / "nowhere.py")
    assert found("app") == ["app/again.py", "app/y.py"]


def test_a_named_link_to_a_folder_is_followed(here):
    """It was meant."""
    write(here, {"app/x.py": ""})
    (here / "link").symlink_to(here / "app", target_is_directory=True)
    assert found("link") == ["link/x.py"]


def test_a_folder_that_cannot_be_listed_is_passed_over(here, monkeypatch):
    """It may have gone while others were read."""
    write(here, {"app/x.py": "", "gone/y.py": ""})
    scan = os.scandir

    def refuse(folder):
        if str(folder) == "gone":
            raise PermissionError(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found() == ["app/x.py"]
