"""Random statements, judged by what the servers answer. ../README.md says how."""
