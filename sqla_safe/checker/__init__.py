"""The static checker: finds session bugs in a code base before it runs.

Three steps, each a module: `_facts.extract` reads one file, `_project.link` puts the facts of all
files together, and `_project.findings` gives what is wrong in one of them.
"""
