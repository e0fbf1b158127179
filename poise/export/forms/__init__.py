"""How files are written.

`writers` has the forms by ending; `rewriting` and `operators` say a network in words that exporters
know, `quantiser` gives it 8 bits.
"""
