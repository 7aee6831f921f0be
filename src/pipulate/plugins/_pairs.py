"""The rows of a CSV of links as numbers: for the pipeline Links."""

from operator import itemgetter

import numpy as np

from pipulate.plugins._blocks import blocks

REPORTS = 40  # how often progress is told, at most
FREE = -2  # a slot without a name; -1 is the number of blank cells


class Numbers:
    """Names → numbers by first appearance, -1 for a blank one; `names` in order.

    A table of hashes in numpy: a dict of a million strings waits for memory ten times as long.
    Hashes have 64 bits and a key of this process: two of a million names have the same one once in
    37 million times, and nobody can bring it about."""

    def __init__(self):
        self.names, self.padded = [], {}  # padded: those that first came with blanks around them
        self._clear(1 << 12)

    def of(self, cells):
        """The numbers of cells, as an array; blanks around a name do not count."""
        hashes = np.fromiter(map(hash, cells), np.int64, len(cells))
        numbers = self._found(hashes)
        new = np.flatnonzero(numbers == FREE)
        if len(new):
            first, batch = new[np.sort(np.unique(hashes[new], return_index=True)[1])], {}
            found = [self._numbered(cells[n], batch) for n in first.tolist()]
            self._place(hashes[first], np.array(found, np.intc))
            numbers[new] = self._found(hashes[new])
        return numbers

    def _numbered(self, cell, batch):
        name = cell.strip()
        number = batch.get(name, self.padded.get(name, FREE)) if name else -1
        if number == FREE and name != cell:
            number = int(self._found(np.array([hash(name)]))[0])
        if number == FREE:
            number = len(self.names)
            self.names.append(name)
            self.padded |= {name: number} if name != cell else {}
        batch[name] = number
        return number

    def _clear(self, size):
        self.hashes, self.numbers = np.zeros(size, np.int64), np.full(size, FREE, np.intc)
        self.filled = 0

    def _found(self, hashes):
        """The number of each hash, FREE if it has none: from its slot, or the next that fits."""
        last, left = len(self.hashes) - 1, np.arange(len(hashes))
        slots, numbers = hashes & last, np.full(len(hashes), FREE, np.intc)
        while len(left):
            numbers[left] = found = self.numbers[slots[left]]
            left = left[(found != FREE) & (self.hashes[slots[left]] != hashes[left])]
            slots[left] = slots[left] + 1 & last
        return numbers

    def _place(self, hashes, numbers):
        if 2 * (self.filled + len(hashes)) > len(self.hashes):
            there = self.numbers != FREE
            hashes = np.append(self.hashes[there], hashes)
            numbers = np.append(self.numbers[there], numbers)
            self._clear(1 << (4 * len(hashes)).bit_length())
        last, left, slots = len(self.hashes) - 1, np.arange(len(hashes)), hashes.copy()
        self.filled += len(hashes)
        while len(left):
            slots[left] &= last
            free = left[self.numbers[slots[left]] == FREE]
            self.hashes[slots[free]], self.numbers[slots[free]] = hashes[free], numbers[free]
            left = left[self.hashes[slots[left]] != hashes[left]]  # of several, one got the slot
            slots[left] += 1


def columns(text, form, take, strict=True):
    """(cells of the two columns of pages, alternating; each further column; rows too short)."""
    width, pick = len(form["columns"]), itemgetter(*take)
    for cells, rows in blocks(text, form["delimiter"], width, form["skip"], strict):
        whole = [row for row in rows if len(row) > max(take[:2])]
        fit = [pick([*row, *[""] * (width - len(row))]) for row in whole]
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
