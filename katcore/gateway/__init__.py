"""The gateway: agents speak a public API to it, the engine sees exact tokens, and every call is kept in one tree.

    with Gateway(folder) as gateway:
        session = gateway.open("id", model, caps=Caps(...), hook=...)   # a unix socket and a key of its own
        ...                                                             # an agent talks to session.socket
        gateway.update_weights(engine, folder, "step-2")                # calls in flight go on with them
        nodes, calls, stop = gateway.close_session(session)

Requests come in by `server` and a file of `dialects/`, answers leave by it or by `stream`. `session` is one rollout:
caps, retries, calls. `tree` keeps the calls as a tree of messages, `prompt` turns text into ids without touching what
was sampled, `lineage` names branches. Answers come from `model` or `external`; `hook` may look at them, `gate` holds
them. `journal` survives `kill -9`; `metrics` counts; `serve` is the gateway by itself. Nothing here knows boxes.
"""
