"""The kinds of app (CRUD, pipeline), and the shelf that loads them. Knows elements, not HTTP."""
