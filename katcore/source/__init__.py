"""Where code comes from: git repositories, package indexes, archives, and the files of a task's base state.

In: a URL, a project's name, a `TaskSource`. Out: a `git.Repository`, `index.Release`s, a folder (`checkout`). Nothing
that is fetched is trusted, and none of it is run.
"""
