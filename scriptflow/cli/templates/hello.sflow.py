"""A first flow: two tasks side by side, and one that needs both. Run it with: scriptflow run."""

import scriptflow as sf


async def flow_hello(seconds: int = 2) -> None:
    """Square two numbers, slowly, and gather the answers in final.txt."""
    squares = [
        sf.Task(
            ["sh", "-c", f"sleep {seconds}; echo $(({n} * {n})) > test_{n}.txt"],
            outputs=f"test_{n}.txt",
            name=f"solve-{n}",
        )
        for n in (1, 2)
    ]
    await sf.bag(*squares)  # both at the same time

    # A task as input: its outputs are the inputs, and it runs first.
    await sf.Task("sh -c 'cat test_*.txt > final.txt'", inputs=squares, outputs="final.txt", name="final")
