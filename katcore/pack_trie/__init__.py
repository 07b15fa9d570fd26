"""Trajectories in, packs out: what a rank trains on, every shared token once.

    lines = read_records(files, (Task, Trajectory))
    items(lines, PackOptions(objective="grpo"))     # one item a pack, one a trajectory turned away
    emit(item)                                      # the pack, or the reason raised

`tree.py` reads one trajectory's message tree as tokens, `trie.py` merges those of a task's samples into one token trie
and flattens it, `terms.py` makes the table of what is trained, `packing.py` puts whole trees into rows, `stream.py`
groups a stream and counts a step. `render.py` makes tokens of text with the model's template. Each objective is one
small file (`sft`, `em_sft`, `tst`, `rft`, `grpo`, `gspo`, `opd`), named in `objectives.py`. Needs numpy, not torch.
"""
