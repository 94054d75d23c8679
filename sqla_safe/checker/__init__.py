"""The static checker: finds session bugs in a code base before it runs.

Three steps, each a module: `facts.extract` reads one file, `project.link` puts the facts of all
files together, and `project.findings` gives what is wrong in one of them.
"""
