"""Flow files: found, loaded, chosen from; and parameters: read by their types."""

import enum
import os
import pickle
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptflow.errors import (
    FlowAmbiguous,
    FlowImport,
    FlowNotAsync,
    FlowNotFound,
    FlowSyntax,
    NoFlowFile,
    ParameterError,
    ScriptflowError,
    UsageError,
)
from scriptflow.flowfile.discover import Flow, find_flow_file, load


@pytest.fixture(autouse=True)
def own_modules(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def flow_file(tmp_path):
    def write(text, name="sflow.py"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(str(tmp_path / name))

    return write


# --- finding ------------------------------------------------------------------------------------------


def test_the_flow_file_is_found_in_the_nearest_folder_above(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "sflow.py").touch()
    assert find_flow_file(str(deep)) == str(tmp_path / "sflow.py")
    (deep / "sflow.py").touch()
    assert find_flow_file(str(deep)) == str(deep / "sflow.py")


def test_a_named_file_counts_alone_and_a_folder_means_the_sflow_in_it(tmp_path):
    (tmp_path / "sflow.py").touch()
    (tmp_path / "other.py").touch()
    assert find_flow_file(str(tmp_path), "other.py") == str(tmp_path / "other.py")
    assert find_flow_file("/", str(tmp_path)) == str(tmp_path / "sflow.py")
    with pytest.raises(NoFlowFile):
        find_flow_file(str(tmp_path), "none.py")


def test_no_flow_file_anywhere_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(NoFlowFile) as caught:
        find_flow_file(str(tmp_path))
    assert str(tmp_path) in caught.value.why[0]
    assert "scriptflow init" in caught.value.do


# --- loading ------------------------------------------------------------------------------------------


def test_flows_are_named_by_what_follows_the_first_flow_(flow_file):
    loaded = flow_file(
        'async def flow_a():\n    "Do a.\\n\\nMore."\n\n\nasync def flow_overflow_x(n: int):\n    pass\n\n\n'
        "def flow_plain():\n    pass\n\n\nflow_limit = 3\n\n\nasync def flow_():\n    pass\n"
    )
    assert [flow.name for flow in loaded.flows] == ["a", "overflow_x", "plain"]
    assert [flow.is_async for flow in loaded.flows] == [True, True, False]
    first = loaded.choose("a")
    assert (first.doc_line, first.line, first.parameters) == ("Do a.", 1, ())
    assert [parameter.name for parameter in loaded.choose("overflow_x").parameters] == ["n"]


def test_marked_functions_are_flows_under_their_given_or_own_name(flow_file):
    loaded = flow_file(
        "from scriptflow.engine.flow import flow\n\n\n@flow\nasync def clean():\n    pass\n\n\n"
        "@flow(name='big paper')\nasync def flow_paper():\n    pass\n\n\n@flow\nasync def flow_demo():\n    pass\n"
    )
    assert [flow.name for flow in loaded.flows] == ["clean", "big paper", "demo"]


def test_one_function_under_two_names_is_one_flow_and_two_of_one_name_are_an_error(flow_file):
    assert len(flow_file("async def flow_a():\n    pass\n\n\nflow_b = flow_a\n").flows) == 1
    with pytest.raises(FlowAmbiguous, match="two flows are named `a`"):
        flow_file(
            "from scriptflow.engine.flow import flow\n\n\nasync def flow_a():\n    pass\n\n\n"
            "@flow(name='a')\nasync def b():\n    pass\n"
        )


def test_decorated_and_partial_flows_are_seen_through(flow_file):
    loaded = flow_file(
        "import functools\n\n\ndef timed(function):\n    @functools.wraps(function)\n"
        "    def wrapper(*args, **kwargs):\n        return function(*args, **kwargs)\n    return wrapper\n\n\n"
        "@timed\nasync def flow_a(n: int = 2):\n    'Do a.'\n\n\nflow_b = functools.partial(flow_a, n=3)\n"
    )
    a, b = loaded.flows
    assert (a.is_async, a.doc_line, [parameter.name for parameter in a.parameters]) == (True, "Do a.", ["n"])
    assert b.is_async
    assert b.bind({"n": "4"}) == {"n": 4}


def test_objects_with_every_attribute_and_lazy_modules_are_left_alone(flow_file):
    loaded = flow_file(
        "class Proxy:\n    def __getattr__(self, name):\n        raise RuntimeError('touched ' + name)\n\n\n"
        "proxy = Proxy()\n\n\nasync def flow_a():\n    pass\n"
    )
    assert [flow.name for flow in loaded.flows] == ["a"]


def test_neighbours_the_file_itself_and_pickles_of_its_classes_can_be_imported(tmp_path, flow_file):
    (tmp_path / "neighbour.py").write_text("value = 7\n")
    loaded = flow_file(
        "import neighbour\nimport sflow\n\n\nclass Point:\n    x = neighbour.value\n\n\n"
        "async def flow_a():\n    return Point()\n"
    )
    module = sys.modules["sflow"]
    assert module.__file__ == loaded.path
    assert pickle.loads(pickle.dumps(module.Point())).x == 7
    assert sys.path[0] == loaded.folder == str(tmp_path)


def test_an_edit_of_equal_length_within_the_same_second_is_seen(flow_file):
    assert flow_file("async def flow_a(n: int = 2):\n    pass\n").choose().bind({}) == {}
    assert flow_file("async def flow_b(n: int = 2):\n    pass\n").choose().name == "b"


def test_loading_again_replaces_what_the_file_had_set(flow_file):
    from scriptflow.core.config import recorded_inits

    text = "from scriptflow.core.config import record_init\n\nrecord_init({'retries': %d})\n"
    flow_file(text % 1)
    loaded = flow_file(text % 2)
    assert [layer for origin, layer in recorded_inits() if origin.place.file == loaded.path] == [{"retries": 2}]


def test_a_file_named_like_a_loaded_module_is_refused(flow_file):
    with pytest.raises(FlowImport) as caught:
        flow_file("async def flow_a():\n    pass\n", name="json.py")
    assert "rename json.py" in caught.value.do


def test_a_missing_colon_is_shown_with_line_and_column(flow_file):
    with pytest.raises(FlowSyntax) as caught:
        flow_file("import os\nasync def flow_a()\n    pass\n")
    assert (caught.value.place.line, caught.value.place.text) == (2, "async def flow_a()")
    assert caught.value.place.column > 1


def test_a_syntax_error_in_a_neighbour_names_the_neighbour(tmp_path, flow_file):
    (tmp_path / "neighbour.py").write_text("x = = 2\n")
    with pytest.raises(FlowSyntax) as caught:
        flow_file("import neighbour\n")
    assert caught.value.place.file.endswith("neighbour.py")


@pytest.mark.parametrize("content", [b"x = 'a\0b'\n", b"x = '\xff'\n", b"\xff\xfe\0\0"])
def test_a_file_that_is_no_text_is_a_syntax_error(flow_file, content):
    with pytest.raises(FlowSyntax):
        flow_file(content)


def test_an_exception_while_importing_names_its_line_and_the_python(flow_file):
    with pytest.raises(FlowImport) as caught:
        flow_file("import os\nimport nothing_of_that_name\n")
    error = caught.value
    assert "sflow.py:2 raised ModuleNotFoundError" in error.what
    assert (error.place.line, error.place.text) == (2, "import nothing_of_that_name")
    assert sys.executable in error.why[0]
    assert "python -m scriptflow" in error.do


@pytest.mark.parametrize(
    "line", ["raise SystemExit(3)", "import sys; sys.exit()", "1 / 0", "raise ValueError", "eval('1 +')"]
)
def test_any_end_of_an_import_is_an_import_error_of_the_flow(flow_file, line):
    with pytest.raises(FlowImport) as caught:
        flow_file(f"\n{line}\n")
    assert caught.value.place.line == 2
    assert "sflow" not in sys.modules


def test_our_own_errors_keep_their_kind_and_get_a_place(flow_file):
    with pytest.raises(ScriptflowError) as caught:
        flow_file("from scriptflow.errors import TaskError\n\nraise TaskError('no')\n")
    assert (caught.value.slug, caught.value.place.line) == ("task", 3)


def test_ctrl_c_while_importing_stays_ctrl_c(flow_file):
    with pytest.raises(KeyboardInterrupt):
        flow_file("raise KeyboardInterrupt\n")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_says_so(tmp_path, flow_file):
    (tmp_path / "sflow.py").touch(mode=0)
    with pytest.raises(NoFlowFile, match="cannot read"):
        load(str(tmp_path / "sflow.py"))


def test_loading_a_plain_flow_file_loads_nothing_heavy(tmp_path):
    (tmp_path / "sflow.py").write_text("async def flow_a():\n    pass\n")
    program = (
        "import sys, scriptflow; before = set(sys.modules)\n"
        "from scriptflow.flowfile.discover import load\nfrom scriptflow.settings_files import load_settings\n"
        "flow_file = load('sflow.py'); flow_file.choose().bind({}); load_settings(flow_file.folder)\n"
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    heavy = {"dataclasses", "inspect", "typing", "logging", "json", "asyncio", "re", "pathlib", "click", "tomllib"}
    assert set(done.stdout.split()) & heavy == set()


# --- choosing -----------------------------------------------------------------------------------------

THREE = "async def flow_{}():\n    pass\n\n\nasync def flow_b():\n    pass\n\n\ndef flow_plain():\n    pass\n"


def test_the_only_flow_needs_no_name_and_a_plain_function_does_not_count(flow_file):
    assert flow_file("async def flow_a():\n    pass\n\n\ndef flow_plain():\n    pass\n").choose().name == "a"


def test_an_unknown_name_lists_flows_and_the_nearest(flow_file):
    with pytest.raises(FlowNotFound) as caught:
        flow_file(THREE.format("sleepit")).choose("sleepitt")
    assert "`sleepitt` in" in caught.value.what
    assert caught.value.why == ("flows: sleepit, b, plain",)
    assert "`sleepit`" in caught.value.do
    with pytest.raises(FlowNotFound) as caught:
        flow_file(THREE.format("sleepit")).choose("flow_sleepit")
    assert "`sleepit`" in caught.value.do


def test_several_flows_and_no_name_is_ambiguous(flow_file):
    with pytest.raises(FlowAmbiguous) as caught:
        flow_file(THREE.format("a")).choose()
    assert caught.value.what == "sflow.py has 2 flows: a, b"
    assert caught.value.do == "scriptflow run a"


def test_a_plain_function_cannot_be_chosen(flow_file):
    with pytest.raises(FlowNotAsync) as caught:
        flow_file(THREE.format("a")).choose("plain")
    assert caught.value.place.line == 9
    assert caught.value.do == "write `async def flow_plain`"


def test_a_file_without_flows_says_how_to_write_one(flow_file):
    with pytest.raises(FlowNotFound) as caught:
        flow_file("x = 1\n").choose()
    assert "async def flow_NAME" in caught.value.do


# --- parameters ---------------------------------------------------------------------------------------


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


def flow_of(function):
    return Flow("paper", function, __file__, {})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "10", 10),
        (int, "-3", -3),
        (float, "1e-6", 1e-6),
        (str, "10", "10"),
        (str, "", ""),
        (bool, "no", False),
        (bool, "True", True),
        (Path, "a b/c.csv", Path("a b/c.csv")),
        (Literal["fast", 3], "3", 3),
        (Color, "RED", Color.RED),
        (Color, "b", Color.BLUE),
        (list[int], "1, 2,3", [1, 2, 3]),
        (list[int], "[1, 2]", [1, 2]),
        (list[str], "a,b", ["a", "b"]),
        (list, "a,b", ["a", "b"]),
        (list[int], "", []),
        (tuple[int, str], "1,x", (1, "x")),
        (tuple[float, ...], "1,2", (1.0, 2.0)),
        (set[int], "1,1", {1}),
        (int | None, "none", None),
        (Union[int, None], "4", 4),  # noqa: UP007 (the old spelling is read too)
        (int | str, "4", 4),
        (str | int, "four", "four"),
        (date, "2026-01-31", date(2026, 1, 31)),
        (datetime, "2026-01-31T12:00", datetime(2026, 1, 31, 12)),  # noqa: DTZ001 (read as written)
        (dict, '{"a": [1]}', {"a": [1]}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Annotated[int, "how many"], "4", 4),
        (Decimal, "0.1", Decimal("0.1")),
    ],
)
def test_text_is_read_by_the_annotation(kind, text, value):
    async def function(x):
        pass

    function.__annotations__["x"] = kind
    bound = flow_of(function).bind({"x": text})["x"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "example"),
    [
        (int, "ten", "-p x=10"),
        (int, "1.5", "-p x=10"),
        (float, "", "-p x=0.5"),
        (bool, "maybe", "-p x=true"),
        (Literal["fast", "slow"], "quick", "-p x=fast"),
        (Color, "GREEN", "-p x=RED"),
        (list[int], "1,b", "-p x=10,10"),
        (tuple[int, int], "1", "-p x=10,10"),
        (date, "31.1.2026", "-p x=2026-01-31"),
        (dict, "[1]", "-p x='{\"key\": 1}'"),
        (Decimal, "x", "-p x=VALUE"),
    ],
)
def test_a_wrong_value_names_flow_and_type_and_shows_a_right_one(kind, text, example):
    async def function(x):
        pass

    function.__annotations__["x"] = kind
    with pytest.raises(ParameterError) as caught:
        flow_of(function).bind({"x": text})
    assert caught.value.what.startswith(f"-p x={text}: `x` of flow `paper` is ")
    assert caught.value.do == example
    assert caught.value.place.line > 0
    if "VALUE" not in example:
        flow_of(function).bind({"x": example.removeprefix("-p x=").strip("'")})


def test_without_annotation_the_defaults_type_reads():
    async def function(n=2, rate=0.5, on=False, what=None, where=Path()):
        pass

    texts = {"n": "3", "rate": "2", "on": "yes", "what": "3", "where": "x"}
    assert flow_of(function).bind(texts) == {"n": 3, "rate": 2.0, "on": True, "what": "3", "where": Path("x")}


def test_annotations_as_text_are_read_too(flow_file):
    loaded = flow_file(
        "from __future__ import annotations\n\nTYPE_CHECKING = False\nif TYPE_CHECKING:\n    from x import Frame\n\n\n"
        "async def flow_a(n: int, items: list[int] = (), ):\n    pass\n\n\n"
        "async def flow_b(n: int, frame: Frame = None):\n    pass\n"
    )
    assert loaded.choose("a").bind({"n": "3", "items": "1,2"}) == {"n": 3, "items": [1, 2]}
    assert loaded.choose("b").bind({"n": "3"}) == {"n": 3}


def test_a_list_may_be_given_several_times_and_the_last_of_another_kind_counts():
    async def function(sizes: list[int], n: int = 1):
        pass

    assert flow_of(function).bind({"sizes": ["1", "2,3"], "n": ["4", "5"]}) == {"sizes": [1, 2, 3], "n": 5}


def test_dashes_stand_for_underscores():
    async def function(max_iter: int):
        pass

    assert flow_of(function).bind({"max-iter": "3"}) == {"max_iter": 3}


def test_an_unknown_parameter_names_the_nearest_and_all():
    async def function(size: int = 1, name: str = "x"):
        pass

    with pytest.raises(ParameterError) as caught:
        flow_of(function).bind({"sise": "3"})
    assert caught.value.what == "flow `paper` has no parameter `sise`"
    assert caught.value.why == ("parameters: size: int = 1, name: str = 'x'",)
    assert "`size`" in caught.value.do


def test_any_name_is_taken_where_the_flow_takes_any():
    async def function(n: int = 1, **options):
        pass

    assert flow_of(function).bind({"n": "2", "color": "red"}) == {"n": 2, "color": "red"}


def test_a_needed_parameter_left_out_is_an_error_with_an_example():
    async def function(path: Path, n: int = 1):
        pass

    with pytest.raises(ParameterError) as caught:
        flow_of(function).bind({})
    assert caught.value.what == "flow `paper` needs `path` (Path)"
    assert caught.value.do == "-p path=data/in.csv"


def test_values_are_checked_not_rewritten_and_text_wins_over_them():
    async def function(n: int, rate: float = 1, path: Path = Path(), tags: list[str] = (), frame=None):
        pass

    frame = object()
    values = {"n": 3, "rate": 2, "path": "a.csv", "tags": ["a"], "frame": frame}
    bound = flow_of(function).bind({"n": "4"}, values)
    assert bound == {"n": 4, "rate": 2.0, "path": Path("a.csv"), "tags": ["a"], "frame": frame}


@pytest.mark.parametrize("value", ["3", 1.5, True, None, [3]])
def test_a_value_of_another_type_is_refused(value):
    async def function(n: int):
        pass

    with pytest.raises(ParameterError):
        flow_of(function).bind({}, {"n": value})


KINDS = [
    int,
    float,
    bool,
    Path,
    Color,
    list[int],
    tuple[int, str],
    dict,
    date,
    int | None,
    Literal["a"],
    set[float],
    dict[str, list[int]],
]


@given(st.sampled_from(KINDS), st.text(max_size=8))
def test_any_text_gives_a_value_or_a_parameter_error(kind, text):
    async def function(x):
        pass

    function.__annotations__["x"] = kind
    try:
        flow_of(function).bind({"x": text})
    except UsageError as error:
        assert error.slug == "param-type"
