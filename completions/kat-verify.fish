# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -a report -d 'Tabulate verdicts: pass@1, mean, best, pass^k with 95 % intervals.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l tasks -d 'Tasks that do not travel in the stream.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l sandbox -d 'Where the tests run.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l timeout -d 'Longest test run; longer ones are failures.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l reuse -l no-reuse -d 'Take the verdict of an identical task, patch and sandbox.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l seed -d 'Seed of everything random.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l no-config -d 'Read no configuration file.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l json -d 'JSON instead of a table.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l seed -d 'Seed of everything random.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l no-config -d 'Read no configuration file.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
