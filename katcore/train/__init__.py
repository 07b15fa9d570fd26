"""kat-train: packs in, checkpoints out. `init` makes a small model, `trainer` takes steps, `run` drives them."""
