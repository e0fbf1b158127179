"""The cheapest assignment of rows to columns, with settled ties."""

from __future__ import annotations

import numpy as np

from poise.codecs.arrays import Array

__all__ = ["assign_rows"]


def assign_rows(cost: Array) -> Array:
    """Columns (M,) that rows are assigned to, each column at most once, at least total cost.

    Shortest augmenting paths (Crouse 2016, "On implementing 2D rectangular assignment
    algorithms", section III), from a greedy start. Of several optima a certain one is taken:
    grouping rounds its costs, ties are the rule there, and who joins whom must not depend on
    a solver's release.

    Args:
        cost: (M, G) float64, M <= G, finite.
    """
    M, G = cost.shape
    row_price = cost.min(axis=1)
    column_price = np.zeros(G)
    column_of = np.full(M, -1)
    row_of = np.full(G, -1)
    # each row takes the first of its cheapest columns that is still free
    cheapest = cost == row_price[:, None]
    for row in range(M):
        column = int(cheapest[row].argmax())
        if cheapest[row, column]:
            column_of[row], row_of[column] = column, row
            cheapest[:, column] = False
    for row in np.flatnonzero(column_of < 0).tolist():
        _augment(cost, row, row_price, column_price, column_of, row_of)
    return column_of


def _augment(
    cost: Array,
    start: int,
    row_price: Array,
    column_price: Array,
    column_of: Array,
    row_of: Array,
) -> None:
    """Assign one more row, moving others along the cheapest path; changes all but `cost`."""
    G = cost.shape[1]
    distance = np.full(G, np.inf)
    came_from = np.full(G, -1)
    # Scanned from the end, and filled up from the end: the order is part of how ties settle.
    open_columns = np.arange(G)[::-1].copy()
    left, row, reached = G, start, 0.0
    rows, columns = [], []
    while True:
        rows.append(row)
        scanned = open_columns[:left]
        path = reached + cost[row, scanned] - row_price[row] - column_price[scanned]
        shorter = path < distance[scanned]
        distance[scanned[shorter]] = path[shorter]
        came_from[scanned[shorter]] = row
        reached = distance[scanned].min()
        nearest = np.flatnonzero(distance[scanned] == reached)
        free = nearest[row_of[scanned[nearest]] < 0]
        place = int(free[-1] if len(free) else nearest[0])
        column = int(scanned[place])
        columns.append(column)
        left -= 1
        open_columns[place] = open_columns[left]
        if row_of[column] < 0:
            break
        row = int(row_of[column])
    row_price[start] += reached
    others = np.array(rows[1:], dtype=np.int64)
    row_price[others] += reached - distance[column_of[others]]
    column_price[columns] -= reached - distance[columns]
    while True:
        row = int(came_from[column])
        row_of[column] = row
        column_of[row], column = column, int(column_of[row])
        if row == start:
            return
