"""Rows of the lazy name table, a module per kind: scope -> module -> names in it."""
