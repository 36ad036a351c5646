"""Tasks in an ordinary asyncio program: the first await starts a head, the end of main() stops it."""

import asyncio
from pathlib import Path

import scriptflow as sf

TEXTS = {"alpha": "the cat sat on the mat", "beta": "a cat is a cat"}


def write_texts() -> None:
    for name, text in TEXTS.items():
        path = Path(f"{name}.txt")
        if not path.exists():
            path.write_text(text + "\n")


def read_total(counts: list[sf.Task]) -> int:
    return sum(int(Path(task.output_file).read_text()) for task in counts)


async def main() -> None:
    counts = [
        sf.Task(f"wc -w < {name}.txt > {name}.count", shell=True, inputs=f"{name}.txt", outputs=f"{name}.count")
        for name in TEXTS
    ]
    await sf.bag(*counts)
    print(f"{read_total(counts)} words in {len(counts)} texts")


if __name__ == "__main__":
    write_texts()
    asyncio.run(main())
