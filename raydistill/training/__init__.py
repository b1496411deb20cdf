"""One training loop for teachers and students: update, evaluate, checkpoint, resume."""
