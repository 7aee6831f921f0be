"""Botify: the client of its API, a stand-in that speaks its protocol, and in apps/ its apps."""
