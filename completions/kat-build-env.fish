# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -a export -d 'Write tasks in another format into a folder.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l sandbox -d 'What boxes are made by: bubblewrap or docker.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l runtime -d 'The Docker engine'\''s runtime for boxes, such as runsc or kata.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l runs -d 'Test runs before the change, and as many after it.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l timeout -d 'Longest test run; longer ones turn it away.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l memory -d 'Memory of a test run.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l clock -d 'What time a task'\''s boxes start at: now, the change'\''s, or TIME.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l ordered -l no-ordered -d 'Write records in the input'\''s order, and not each when it is done.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l seed -d 'Seed of everything random.' -x
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l no-config -d 'Read no configuration file.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-build-env -n 'not __fish_seen_subcommand_from export' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l to -d 'The format.' -x -a 'swe-bench swe-smith swe-rebench multi-swe harbor livecodebench functions ifeval'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l image -d 'Base image of exported Harbor tasks instead of Python'\''s own.' -x
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l wheels -d 'Bring the pinned wheels along: building then needs no package index.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -s o -l out -d 'The folder to write.' -r -a '(__fish_complete_directories)'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l seed -d 'Seed of everything random.' -x
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l no-config -d 'Read no configuration file.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-build-env -n '__fish_seen_subcommand_from export' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
