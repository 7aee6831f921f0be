"""The rows of a CSV of links as numbers: for the pipeline Links."""

from operator import itemgetter

import numpy as np

from pipulate.plugins._blocks import blocks

REPORTS = 40  # how often progress is told, at most


class Numbers(dict):
    """Cell → number of its name, by first appearance, -1 for a blank one; `names` in order."""

    def __init__(self):
        self.names = []

    def __missing__(self, cell):
        name = cell.strip()
        if name != cell:
            self[cell] = number = self[name]
        elif name:
            self[cell] = number = len(self.names)
            self.names.append(name)
        else:
            self[cell] = number = -1
        return number

    def of(self, cells):
        """The numbers of cells, as an array."""
        return np.fromiter(map(self.__getitem__, cells), np.intc, len(cells))


def columns(text, form, take):
    """(cells of the two columns of pages, alternating; each further column; rows too short)."""
    width, pick = len(form["columns"]), itemgetter(*take)
    for cells, rows in blocks(text, form["delimiter"], width, form["skip"]):
        fit = [pick(row) for row in rows if len(row) > max(take)]
        short, parts = len(rows) - len(fit), [*zip(*fit, strict=True)] or [()] * len(take)
        if cells and width == 2 and take == [0, 1]:
            yield cells, [], 0
            continue
        origin, target, *more = [cells[n::width] for n in take] if cells else parts
        ends = [""] * (2 * len(origin))
        ends[::2], ends[1::2] = origin, target
        yield ends, more, short


def read(form, take, told):
    """(pages by number; links, an array of rows, each two pages or -1 for a blank cell; (words,

    numbers) of each further column in `take`; rows too short). told(share, rows read): how far."""
    pages, words = Numbers(), [Numbers() for _ in take[2:]]
    numbers, rows, short, mark = [[np.empty(0, np.intc)] for _ in take[1:]], 0, 0, 0
    size = form["file"].path.stat().st_size
    with open(form["file"].path, encoding=form["encoding"], newline="") as text:
        for ends, more, few in columns(text, form, take):
            found = [pages.of(ends), *(w.of(cells) for w, cells in zip(words, more, strict=True))]
            for each, new in zip(numbers, found, strict=True):
                each.append(new)
            rows, short, at = rows + len(ends) // 2 + few, short + few, text.buffer.tell()
            if at >= mark:
                mark = at + size // REPORTS
                told(at / size, rows)
    links, *codes = map(np.concatenate, numbers)
    marks = [(w.names, code) for w, code in zip(words, codes, strict=True)]
    return pages.names, links.reshape(-1, 2), marks, short


def kept(pages, links, keep):
    """(pages, links) of the rows to keep: pages that only other rows name are gone."""
    if keep.all():
        return pages, links
    links = links[keep]
    used, first = np.unique(links, return_index=True)
    used = used[np.argsort(first)]
    number = np.empty(len(pages), np.intc)
    number[used] = np.arange(len(used))
    return [pages[n] for n in used.tolist()], number[links]
