"""What a task is: data, teacher, student, evaluation.

A new task is a package and a line of the registry.
"""
