"""Flows that await flows; one that is cached runs once in a run."""

FLOW = """
import asyncio
import scriptflow as sf


@sf.flow(cache=True)
async def prepare(n: int = 1):
    print("prepare", n)
    await sf.Task(f"echo {n} > base{n}.txt", shell=True, outputs=f"base{n}.txt")
    if n == 9:
        raise ValueError("nine")
    return [n]


@sf.flow(name="left")
async def first_side():
    return await prepare()


async def flow_right():
    return await prepare(n=1)


@sf.flow
async def both():
    one, two, three = await sf.bag(first_side(), flow_right(), prepare(2))
    print(one is two, three, await prepare(1) is one)
    for error in await sf.bag(prepare(9), prepare(9), return_exceptions=True):
        print(repr(error))
"""


def test_a_cached_flow_reached_from_several_places_runs_once_for_equal_arguments(project):
    project.write(sflow=FLOW)
    out = project.run("both")["out"]
    assert sorted(out[:2]) == ["prepare 1", "prepare 2"]
    assert out[2:] == ["True [2] True", "prepare 9", "ValueError('nine')", "ValueError('nine')"]
    assert project.run("both")["out"][-1] == "ValueError('nine')"


def test_a_cached_flow_is_a_flow_of_its_own_with_its_parameters(project):
    project.write(sflow=FLOW)
    assert project.run("prepare", "--n", "3")["out"] == ["prepare 3"]
    assert (project / "base3.txt").read_text() == "3\n"
    assert project.run("left")["ran"] == 1
    assert project.script(FLOW + "\nif __name__ == '__main__':\n    print(asyncio.run(both()))\n").stdout.endswith(
        "None\n"
    )
