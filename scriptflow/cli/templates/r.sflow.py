"""A flow that fits a model in R and draws it. Needs Rscript when it runs."""

import scriptflow as sf


async def flow_fit() -> None:
    """Fit stopping distance on speed, then draw it."""
    fit = sf.Task(
        "Rscript fit.R {outputs}",
        inputs="fit.R",  # the script is an input: an edit runs the task again
        outputs=["coefficients.csv", "model.rds"],
        name="fit",
    )
    await fit
    await sf.Task(
        "Rscript plot.R model.rds {output}",
        inputs=["plot.R", "model.rds"],
        outputs="fit.pdf",
        name="plot",
    )
