"""What `raydistill doctor` looks at, a module a subject; each comes to a `Section`."""
