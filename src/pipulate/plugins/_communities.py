"""Communities of a link graph: pages that link to one another more than chance would have it.

Leiden by igraph (the extra `communities`), which maximises modularity. Traag, Waltman, van Eck:
From Louvain to Leiden (Scientific Reports, 2019).
"""

from random import Random

import numpy as np

from pipulate import Problem

INSTALL = 'Install it: pip install "pipulate[communities]", or pipx inject pipulate igraph.'


def communities(n, origin, target):
    """(community of each page, 1 the largest; sizes; modularity). The same graph gives the same.

    A link counts without its direction, two that answer each other twice. Raises Problem."""
    try:
        import igraph
    except ImportError:
        raise Problem("Communities need the package igraph.", INSTALL) from None
    if not len(origin):
        return np.arange(1, n + 1), np.ones(n, int), 0.0
    igraph.set_random_number_generator(Random(1))  # igraph's own is seeded by the time
    graph = igraph.Graph(n, np.stack([origin, target], 1))
    graph.to_undirected(mode="each")
    found = graph.community_leiden("modularity")
    label, sizes = np.unique(found.membership, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(-sizes, kind="stable")
    return np.argsort(order)[label] + 1, sizes[order], found.modularity
