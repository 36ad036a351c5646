"""Flow parameters: the function's signature is the command line."""

from typing import Literal

import scriptflow as sf


async def flow_table(n: int = 3, step: float = 0.5, shape: Literal["square", "cube"] = "square", header: bool = True):
    """Write a small table of powers.

    scriptflow run --n 5 --shape cube --no-header
    """
    power = {"square": 2, "cube": 3}[shape]
    rows = []
    for i in range(1, n + 1):
        x = i * step
        code = f"print({x}, {x}**{power})"
        # A changed parameter changes the command, and so runs exactly the tasks it reaches.
        rows.append(sf.Task(["sh", "-c", f'python -c "{code}" > row-{i}.txt'], outputs=f"row-{i}.txt", name=f"row-{i}"))
    start = f"echo x {shape} > table.txt" if header else ": > table.txt"
    files = " ".join(task.output_file for task in rows)
    table = sf.Task(f"{start}; cat {files} >> table.txt", shell=True, inputs=rows, outputs="table.txt", name="table")
    await table
