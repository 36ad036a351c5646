"""A flow that cleans data and fits a model in Stata. Needs `stata` on PATH when it runs."""

import scriptflow as sf

STATA = "stata"  # or stata-mp, stata-se, or the whole path


async def flow_fit() -> None:
    """Prepare the data set that comes with Stata, then regress price on weight."""
    # In batch mode Stata exits with 0 even after an error, and writes its log to clean.log.
    # That is no danger here: a declared output that is not there makes the task fail.
    await sf.Task(
        [STATA, "-b", "do", "clean.do"],
        inputs="clean.do",  # the script is an input: an edit runs the task again
        outputs="clean.dta",
        name="clean",
    )
    await sf.Task(
        [STATA, "-b", "do", "fit.do"],
        inputs=["fit.do", "clean.dta"],
        outputs="coefficients.csv",
        name="fit",
    )
