"""The gateway: agents speak a public API to it, the engine sees exact tokens, and every call is kept in one tree.

    with Gateway(folder) as gateway:
        session = gateway.open("id", model, limits=Caps(...))       # a unix socket and a key of its own
        ...                                                          # an agent talks to session.socket
        nodes, calls, exit = gateway.close_session(session)

`server` HTTP in a thread of its own, `dialects/` one file for each API, `session` one rollout: caps, retries, calls;
`tree` the calls as a tree of messages, `prompt` text to ids without touching what was sampled, `model` where answers
come from, `journal` what survives `kill -9`. Nothing here knows boxes or agents.
"""
