"""Python functions as tasks: the decorator, their code and values, and the program that calls them."""
