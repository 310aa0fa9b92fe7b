"""Tax services: what is to be charged where."""
