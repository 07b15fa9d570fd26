"""The embedded engine, a small server for one transformers model: SGLang's native HTTP subset on a CPU or one GPU.

`server` is the process or thread, `api` its HTTP, `worker` the batched generation loop, `cache` prefixes and their
keys and values, `sampling`, `grammar` and `stop` one token's choice and the end of an answer, `weights` updates and
parking.
"""
