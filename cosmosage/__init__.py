"""The rooms behind the notebooks, in the order in which data flows through them.

Nothing is imported here: a room costs what it costs only where it is used.
"""
