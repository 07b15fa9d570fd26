"""Trajectories as objects to handle: paths, order, trimming, other people's formats, and a page to look at.

    path = main_path(trajectory)                 # the conversation that led to the agent's last answer
    trim(trajectory, Limits(turns=20))           # cut between exchanges only
    write("atif", trajectory, "main")            # rows of another format, and what it could not hold
    read("atif", row)                            # and back

A trajectory is a tree of messages (`katcore.records`). `paths` assembles it, `order` sorts it, `trim` shortens it.
`formats` holds one module a format, two pure functions each; `convert` puts them behind one door, `origin` lets a
foreign record's own fields travel along. `page` draws. No file is opened here and no model is run.
"""
