"""Families of models: one function says what a family is, one row what a member changes."""
