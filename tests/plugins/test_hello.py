"""The bundled Hello pipeline: it is the example of the manual, and it runs."""
