"""What inference takes of the machine: `devices` and number types, `threads`, `memory`."""
