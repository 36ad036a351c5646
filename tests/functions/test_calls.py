"""The argument rules of task functions, and that every way of awaiting a call gives its value."""

CALLS = """
import asyncio
from pathlib import Path

import pydantic
import scriptflow as sf


@sf.task
def add(a: int, b: int = 0) -> int:
    return a + b


@sf.task
async def later(a):
    await asyncio.sleep(0)
    return [a]


@sf.task
def spread(first, *others, **named):
    return (first, others, named)


@sf.task
def size(path):
    return len(Path(path).read_text())


class Point(pydantic.BaseModel):
    x: int


@sf.task
def right(point: Point) -> Point:
    return Point(x=point.x + 1)
"""
FLOW = (
    CALLS
    + """
async def flow_all():
    assert add(2) == 2 and asyncio.iscoroutine(pending := later(1))
    pending.close()
    assert await add.task(2) == 2
    assert await add.call(2, b=3) == 5
    assert await add.partial(a=1).call(b=2) == 3
    assert await add.partial(a=1, b=1).call(b=5) == 6
    assert await add.partial(a=1).map("b", [2, 3]) == [3, 4]
    assert await add.map(("a", "b"), [(1, 2), (3, 4)]) == [3, 7]
    assert await add.map("a", []) == [] and await add.mapvalues("a", []) == []
    assert await add.partial(a=1).mapvalues("b", [("x", 2), ("y", 3)]) == [("x", 3), ("y", 4)]
    assert await add.validate().call("1", "2") == 3
    assert await add.partial(a="1").validate().call() == await add.validate().partial(a="1").call() == 1
    assert await later.task(7) == [7]
    assert await sf.bag(add.task(1), later.task(2)) == [1, [2]]
    assert await spread.call(1, 2, 3, z=(4,)) == (1, (2, 3), {"z": (4,)})
    assert await add.task(add.task(add.task(1)), b=await add.call(5)) == 6
    assert await add.validate().call(add.task(20), b=1) == 21
    made = sf.Task("printf abc > made.txt", shell=True, outputs="made.txt")
    assert await size.task(made) == 3
    task = add.task(8, name="eight")
    assert await task == 8 == task.value and str(task.name) == "eight"
    assert (await right.call(Point(x=1))).x == 2
    items = [1, 2]
    kept = later.task(items)
    items.append(3)
    assert await kept == [[1, 2]]
"""
)


def test_every_way_of_calling_gives_the_value_in_a_flow_and_nothing_runs_again(project):
    project.write(sflow=FLOW)
    assert project.run()["failed"] == 0
    again = project.run()
    assert (again["ran"], again["failed"]) == (0, 0)
    assert again["skipped"] > 15


def test_the_same_works_in_a_script_under_asyncio_run_and_sf_run(project):
    done = project.script(
        CALLS
        + """
async def main():
    return [await add.partial(a=1).map("b", [2, 3]), await later.call(1)]


if __name__ == "__main__":
    print(sf.run(add.partial(a=1).map("b", [2, 3])).value, sf.run(add.call(2)).value, sf.run(later.task(3)).value)
    print(sf.run(add.mapvalues("a", [("x", 2)])).value)
    task = add.task(9)
    sf.run(task)
    print(task.value)
    print(asyncio.run(main()), add(1, 2))
"""
    )
    assert done.stdout.splitlines() == ["[3, 4] 2 [3]", "[('x', 2)]", "9", "[[3, 4], [1]] 3"]


def test_a_script_without_a_main_guard_works_when_it_runs_its_flow_at_the_end(project):
    done = project.script(CALLS + "\nprint(sf.run(add.map('a', [1, 2])).value)\n")
    assert done.stdout == "[1, 2]\n"


def test_values_come_back_as_what_they_were(project):
    project.write(
        sflow="""
        import datetime, enum
        from dataclasses import dataclass
        from pathlib import Path, PurePosixPath
        import pydantic
        import scriptflow as sf

        class Colour(enum.Enum):
            RED = 1

        @dataclass(frozen=True)
        class Pair:
            left: object
            right: object

        class Model(pydantic.BaseModel):
            items: tuple[int, ...]
            when: datetime.date

        class Odd:
            def __init__(self, x):
                self.x = x

            def __eq__(self, other):
                return self.x == other.x

        VALUES = [
            None, True, 1, 1.5, float("inf"), "a\\0é\\ud800", [1, [2]], {"a": {"b": 1}}, {1: 2, (1, 2): "x"}, {"$": 1},
            (1, (2,)), {1, 2}, frozenset("ab"), b"\\x00\\xff", datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
            datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.date(2026, 1, 2), Path("a/b"), Colour.RED,
            Pair(1, Pair((2,), None)), Model(items=(1, 2), when=datetime.date(2026, 1, 1)), Odd(3), 10**30,
            complex(1, 2), range(3),
        ]

        @sf.task
        def same(value):
            return value

        @sf.task
        def nth(at):
            return VALUES[at]

        async def flow_main():
            for given, value in zip(VALUES, await same.map("value", VALUES), strict=True):
                assert type(value) is type(given) and value == given, (given, value)
            for given, value in zip(VALUES, await nth.map("at", list(range(len(VALUES)))), strict=True):
                assert type(value) is type(given) and value == given, (given, value)
        """
    )
    assert project.run()["failed"] == 0
    assert project.run()["ran"] == 0


def test_a_class_defined_in_a_script_comes_back(project):
    done = project.script(
        """
        from dataclasses import dataclass
        import scriptflow as sf

        @dataclass
        class Point:
            x: int

        class Plain:
            pass

        @sf.task
        def make(x):
            return [Point(x), Plain()]

        if __name__ == "__main__":
            point, plain = sf.run(make.call(3)).value
            print(point, isinstance(point, Point), isinstance(plain, Plain))
        """
    )
    assert done.stdout == "Point(x=3) True True\n"
