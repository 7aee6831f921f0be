"""The only layer that serves HTTP: guard, routes, layout, chat panel, live sockets."""
