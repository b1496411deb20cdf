"""Parts that teachers and students share, so that neither imports the other."""
