"""Ways to name files: patterns, folders, groups, and a task in the place of its outputs."""

import scriptflow as sf


async def flow_notes():
    """Count the lines of notes, sort them into a folder, and write an index of it."""
    # A pattern is matched when the task is about to run; a new note is a changed list of inputs.
    count = sf.Task("cat notes/*.md | wc -l > lines.txt", shell=True, inputs=sf.glob("notes/*.md"), outputs="lines.txt")

    # A folder is one output; it counts as changed when its sorted listing does.
    upper = sf.Task(
        'mkdir -p upper && for f in notes/*.md; do tr a-z A-Z < "$f" > "upper/${f##*/}"; done',
        shell=True,
        inputs=sf.glob("notes/*.md"),
        outputs=sf.directory("upper/"),
        name="upper",
    )

    # Groups give outputs names; `count` and `upper` as inputs stand for what they make, and run first.
    index = sf.Task(
        "ls upper > {outputs[names]} && cp lines.txt {outputs[total]}",
        shell=True,
        inputs=[count, upper],
        outputs={"names": "index/names.txt", "total": "index/total.txt"},
        name="index",
    )
    await index
    for group in ("names", "total"):
        print(group, *index.get_output_group(group))
