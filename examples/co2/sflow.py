"""Atmospheric CO2 at Mauna Loa, 1958 to 2001: how fast it rose in each decade, and how sure that is."""

from pathlib import Path

import scriptflow as sf

DATA = Path(__file__).parent / "data"


def years_by_decade() -> dict[str, list[str]]:
    """Find the yearly files and group them: {"1950s": ["data/1958.csv", "data/1959.csv"], ...}."""
    decades: dict[str, list[str]] = {}
    for file in sorted(DATA.glob("[0-9][0-9][0-9][0-9].csv")):
        decades.setdefault(f"{file.stem[:3]}0s", []).append(f"data/{file.name}")
    return decades


def script(name: str, script: str, *args: object, inputs: list[str], outputs: list[str]) -> sf.Task:
    """Make a task that runs a script; the script is an input too, so that an edit of it counts."""
    return sf.Task(["python", script, *map(str, args)], inputs=[script, *inputs], outputs=outputs, name=name)


async def flow_co2(bootstrap: int = 200, seed: int = 1958):
    """Fit a trend with bootstrap intervals to each decade; make a table and a picture."""
    tasks, weeks, fits = [], [], []
    for decade, years in years_by_decade().items():
        week_file, fit_file = f"build/weeks-{decade}.csv", f"build/trend-{decade}.json"
        clean = ("scripts/clean.py", week_file, *years)
        trend = ("scripts/trend.py", week_file, fit_file, bootstrap, seed)
        tasks.append(script(f"clean-{decade}", *clean, inputs=years, outputs=[week_file]))
        tasks.append(script(f"trend-{decade}", *trend, inputs=[week_file], outputs=[fit_file]))
        weeks.append(week_file)
        fits.append(fit_file)

    table = ["results/trends.csv", "results/trends.md"]
    picture = ["results/co2.svg"]
    await sf.bag(  # who waits for whom follows from the files
        *tasks,
        script("table", "scripts/table.py", *table, *fits, inputs=fits, outputs=table),
        script("picture", "scripts/picture.py", *picture, *weeks, *fits, inputs=weeks + fits, outputs=picture),
    )
