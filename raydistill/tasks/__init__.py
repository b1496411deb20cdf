"""What a task is: data, teacher, student, evaluation. A new task is a file and a line here."""
