"""The life of tasks: the head that decides and orders them, and the part of it that runs jobs."""
