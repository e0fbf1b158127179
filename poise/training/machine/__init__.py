"""What training takes of the machine.

`environment` is `env_cfg` (processes, threads, limits), `sharding` splits weights over processes,
`sync_norm` joins their batch norms, `speed` is what makes a step faster or smaller, `memory` says
which batch would have fitted.
"""
