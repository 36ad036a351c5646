"""Packages bring task functions through entry points."""

import sys

PACKAGE = """
import scriptflow as sf


@sf.task
def square(x: int, *, by: int = 1) -> int:
    return x * x * by


def plain():
    pass
"""
ASK = """
from scriptflow.errors import PluginError
from scriptflow.functions.catalog import signature_of, tasks

try:
    print([(name, signature_of(function)) for name, function in tasks().items()])
except PluginError as error:
    print(error.what)
"""


def package(project, name, points):
    info = project / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[scriptflow.tasks]\n" + "\n".join(points) + "\n")


def test_registered_tasks_are_listed_by_name_with_their_signatures(project):
    project.write(shapes=PACKAGE)
    package(project, "shapes", ["square = shapes:square", "all = shapes"])
    signature = "square(x: int, *, by: int = 1) -> int"
    assert eval(project.script(ASK).stdout) == [("all.square", signature), ("square", signature)]


def test_two_of_one_name_are_an_error_that_names_both(project):
    project.write(shapes=PACKAGE, others=PACKAGE)
    package(project, "shapes", ["square = shapes:square"])
    package(project, "others", ["square = others:square"])
    out = project.script(ASK).stdout
    assert "two packages bring a task 'square'" in out and "shapes:square" in out and "others:square" in out


def test_what_is_no_task_function_is_an_error(project):
    project.write(shapes=PACKAGE)
    package(project, "shapes", ["plain = shapes:plain", "gone = shapes:gone"])
    assert "no task function" in project.script(ASK).stdout or "cannot be loaded" in project.script(ASK).stdout
    assert sys.version_info >= (3, 11)
