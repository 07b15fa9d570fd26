# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-mine -n 'not __fish_seen_subcommand_from changes releases tasks' -a changes -d 'Mine git histories: one change a commit, newest first.'
complete -c kat-mine -n 'not __fish_seen_subcommand_from changes releases tasks' -a releases -d 'Mine consecutive source releases of Python packages.'
complete -c kat-mine -n 'not __fish_seen_subcommand_from changes releases tasks' -a tasks -d 'Read tasks of other people'\''s datasets from disk.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l range -d 'Revisions as git writes them, such as v1..v2.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l since -d 'Commits from this time on; a date alone is UTC.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l until -d 'Commits up to this time; a date alone is its end in UTC.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l first-parent -d 'The main line only: a merged branch is its merge.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l with-tests -d 'Only changes that touch tests.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l seed -d 'Seed of everything random.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l no-config -d 'Read no configuration file.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-mine -n '__fish_seen_subcommand_from changes' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l from -d 'The first release, the base of a change.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l to -d 'The last release.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l pre -d 'Pre-releases too.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l offline -d 'Only what the cache holds.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l with-tests -d 'Only changes that touch tests.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l seed -d 'Seed of everything random.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l no-config -d 'Read no configuration file.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-mine -n '__fish_seen_subcommand_from releases' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l from -d 'The dataset'\''s format.' -x -a 'swe-bench swe-smith swe-rebench multi-swe harbor livecodebench functions ifeval'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l solve -d 'Run each Harbor task'\''s solution there, for its patch.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l build -d 'Build the images of tasks that have a Dockerfile with the Docker engine.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l ordered -l no-ordered -d 'Write records in the input'\''s order, and not each when it is done.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l seed -d 'Seed of everything random.' -x
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l no-config -d 'Read no configuration file.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-mine -n '__fish_seen_subcommand_from tasks' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
