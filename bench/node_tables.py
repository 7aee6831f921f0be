"""The node table of Links by other means, as one would write it: for bench/graphs.py.

    python bench/node_tables.py networkx|scipy|duckdb links.csv nodes.csv START

CSV with source and target in; in- and out-degree, depth from START, component and PageRank out.
Prints what Links counts, too, as JSON: that these agree is checked.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DAMPING, TOLERANCE, ROUNDS = 0.85, 1e-9, 100
HEAD = ["page", "in_degree", "out_degree", "depth", "component", "pagerank"]


def write(nodes: Path, rows: Iterable[Iterable[Any]]) -> None:
    with nodes.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(rows)


def by_networkx(links: Path, nodes: Path, start: str) -> dict[str, int]:
    import networkx as nx

    graph = nx.DiGraph()
    with links.open(newline="") as text:
        rows = csv.reader(text)
        next(rows)
        graph.add_edges_from(rows)
    graph.remove_edges_from([*nx.selfloop_edges(graph)])
    depth = nx.single_source_shortest_path_length(graph, start)
    groups = sorted(nx.weakly_connected_components(graph), key=len, reverse=True)
    group = {page: n for n, pages in enumerate(groups, 1) for page in pages}
    rank = nx.pagerank(graph, DAMPING, max_iter=ROUNDS, tol=TOLERANCE / len(graph))
    into, out = dict(graph.in_degree), dict(graph.out_degree)
    order = sorted(graph, key=rank.__getitem__, reverse=True)
    write(nodes, ((p, into[p], out[p], depth.get(p, ""), group[p], rank[p]) for p in order))
    about = {"pages": len(graph), "links": graph.number_of_edges(), "components": len(groups)}
    return about | {"max_depth": max(depth.values()), "unreached": len(graph) - len(depth)}


def by_scipy(links: Path, nodes: Path, start: str) -> dict[str, int]:
    import numpy as np
    import pandas as pd
    from scipy import sparse
    from scipy.sparse import csgraph

    codes, pages = pd.factorize(pd.read_csv(links).to_numpy().ravel())
    ends = np.unique(codes.reshape(-1, 2), axis=0)
    a, b = ends[ends[:, 0] != ends[:, 1]].T
    n = len(pages)
    matrix = sparse.csr_array((np.ones(len(a)), (a, b)), (n, n))
    first = int(np.flatnonzero(pages == start)[0])
    depth = csgraph.dijkstra(matrix, indices=first, unweighted=True)
    groups, group = csgraph.connected_components(matrix, connection="weak")
    out, rank, back = np.bincount(a, minlength=n), np.full(n, 1 / n), matrix.T.tocsr()
    for _ in range(ROUNDS):
        flow = back @ (rank / np.maximum(out, 1)) + rank[out == 0].sum() / n
        before, rank = rank, (1 - DAMPING) / n + DAMPING * flow
        if abs(rank - before).sum() < TOLERANCE:
            break
    sizes = np.argsort(np.argsort(-np.bincount(group), kind="stable"))
    columns = [pages, np.bincount(b, minlength=n), out, depth, sizes[group] + 1, rank]
    table = pd.DataFrame(dict(zip(HEAD, columns, strict=True)))
    table["depth"] = table["depth"].replace(np.inf, np.nan).astype("Int64")
    table.sort_values("pagerank", ascending=False).to_csv(nodes, index=False)
    reached = np.isfinite(depth)
    about = {"pages": n, "links": len(a), "components": groups}
    return about | {"max_depth": int(depth[reached].max()), "unreached": int((~reached).sum())}


def by_duckdb(links: Path, nodes: Path, start: str) -> dict[str, int]:
    import duckdb

    db = duckdb.connect()

    def one(text: str, *values: Any) -> Any:
        return db.execute(text, values).fetchone()[0]

    db.execute("create table raw as select source, target from read_csv(?)", [str(links)])
    db.execute(
        "create table page as select row_number() over () - 1 as id, name from "
        "(select source as name from raw union select target from raw)"
    )
    db.execute(
        "create table link as select distinct a.id as a, b.id as b from raw "
        "join page a on a.name = source join page b on b.name = target where a.id != b.id"
    )
    n = one("select count(*) from page")
    db.execute("create table out as select a as id, count(*) as n from link group by a")
    db.execute("create table depth as select id, 0 as d from page where name = ?", [start])
    level = 0
    while one("select count(*) from depth where d = ?", level):
        db.execute(
            "insert into depth select distinct b, ? from link join depth on a = id and d = ? "
            "where b not in (select id from depth)",
            [level + 1, level],
        )
        level += 1
    db.execute("create table near as select a, b from link union select b, a from link")
    db.execute("create table label as select id, id as c from page")
    while True:  # the least number of the neighbours, then of that one's own
        db.execute(
            "create or replace table next as select l.id, least(l.c, coalesce(min(o.c), l.c)) as c "
            "from label l left join near on a = l.id left join label o on b = o.id "
            "group by l.id, l.c"
        )
        changed = one("select count(*) from label l join next n using (id) where l.c != n.c")
        db.execute("create or replace table label as select * from next")
        if not changed:
            break
    db.execute("create table rank as select id, 1 / ? as r from page", [n])
    for _ in range(ROUNDS):
        lost = one("select coalesce(sum(r), 0) from rank where id not in (select id from out)")
        db.execute(
            "create or replace table next as select p.id, "
            f"{(1 - DAMPING) / n} + {DAMPING} * (coalesce(f.s, 0) + {lost / n}) as r from page p "
            "left join (select b, sum(r / n) as s from link join rank on a = rank.id "
            "join out on a = out.id group by b) f on f.b = p.id"
        )
        moved = one("select sum(abs(x.r - y.r)) from rank x join next y using (id)")
        db.execute("create or replace table rank as select * from next")
        if moved < TOLERANCE:
            break
    db.execute(
        "copy (select name as page, coalesce(i.n, 0) as in_degree, coalesce(out.n, 0) as "
        "out_degree, d as depth, dense_rank() over (order by s desc, c) as component, r as "
        "pagerank from page join rank using (id) join label using (id) "
        "join (select c, count(*) as s from label group by c) using (c) left join out using (id) "
        "left join (select b as id, count(*) as n from link group by b) i using (id) "
        f"left join depth using (id) order by r desc) to '{nodes}' (header)"
    )
    about = {"pages": n, "links": one("select count(*) from link")}
    about["components"] = one("select count(distinct c) from label")
    about["max_depth"] = one("select max(d) from depth")
    return about | {"unreached": n - one("select count(*) from depth")}


MEANS = {"networkx": by_networkx, "scipy": by_scipy, "duckdb": by_duckdb}

if __name__ == "__main__":
    means, links, nodes, start = sys.argv[1:]
    print(json.dumps(MEANS[means](Path(links), Path(nodes), start)))
