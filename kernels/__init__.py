"""Kernels for tree training, each fast one beside a reference that a student can read.

`tree_attention`: softmax attention over a forest of token tries. `linear_logprob`: log-probs and entropies from hidden
states without holding the logits. Tensors in, tensors out: no records, no models, no files.
"""
