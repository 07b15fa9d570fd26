# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -a report -d 'Tabulate verdicts: pass@1, mean, best, pass^k with 95 % intervals, and what they cost.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -a validate -d 'Validate tasks by probes, and write those that hold with what was seen.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l tasks -d 'Tasks that do not travel in the stream.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l sandbox -d 'What boxes are made by: bubblewrap or docker.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l runtime -d 'The Docker engine'\''s runtime for boxes, such as runsc or kata.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l timeout -d 'Longest test run; longer ones are failures.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l reuse -l no-reuse -d 'Take the verdict of an identical task, patch and sandbox.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l judge -d 'Endpoint that judges, openai:URL; several take turns.' -x -a '(kat-complete engine (commandline -ct))'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l judge-model -d 'The model to ask there, one for each --judge.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l judge-key -d 'Environment variable with the endpoint'\''s key.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l votes -d 'A judge'\''s votes on each of an attempt'\''s two views.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l judge-calls -d 'Most calls to judges; 0: no limit.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l ordered -d 'Write records in the input'\''s order, and not each when it is done.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l seed -d 'Seed of everything random.' -x
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l no-config -d 'Read no configuration file.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-verify -n 'not __fish_seen_subcommand_from report validate' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l json -d 'JSON instead of a table.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l html -d 'A page with plots instead of a table.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l title -d 'The page'\''s title.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l price -d 'Dollars for a million prompt and sampled tokens.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l seed -d 'Seed of everything random.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l no-config -d 'Read no configuration file.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-verify -n '__fish_seen_subcommand_from report' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l sandbox -d 'What boxes are made by: bubblewrap or docker.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l runtime -d 'The Docker engine'\''s runtime for boxes, such as runsc or kata.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l timeout -d 'Longest test run; longer ones are failures.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l reuse -l no-reuse -d 'Take probes that a run before this one has finished.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l ordered -d 'Write records in the input'\''s order, and not each when it is done.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l seed -d 'Seed of everything random.' -x
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l no-config -d 'Read no configuration file.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-verify -n '__fish_seen_subcommand_from validate' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
