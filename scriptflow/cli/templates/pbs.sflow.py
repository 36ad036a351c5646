"""A flow whose tasks are jobs of PBS. The settings beside it, scriptflow.toml, say how they are submitted."""

import scriptflow as sf


async def flow_cluster(parts: int = 4) -> None:
    """Run some parts as one job array, then gather what they made."""
    made = [
        sf.Task(
            f"hostname > part_{number}.txt; echo {number} >> part_{number}.txt",
            shell=True,
            outputs=f"part_{number}.txt",
            cpus=1,
            name=f"part-{number}",
        )
        for number in range(parts)
    ]
    await sf.bag(*made)
    await sf.Task("cat {inputs} > all.txt", shell=True, inputs=made, outputs="all.txt", name="gather")
