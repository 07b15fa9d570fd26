# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-build-env -l sandbox -d 'Where tests run.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-build-env -l runs -d 'Test runs before the change, and as many after it.' -x
complete -c kat-build-env -l timeout -d 'Longest test run; longer ones turn it away.' -x
complete -c kat-build-env -l memory -d 'Memory of a test run.' -x
complete -c kat-build-env -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-build-env -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-build-env -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-build-env -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-build-env -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-build-env -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-build-env -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-build-env -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-build-env -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-build-env -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-build-env -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-build-env -l seed -d 'Seed of everything random.' -x
complete -c kat-build-env -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-build-env -l no-config -d 'Read no configuration file.'
complete -c kat-build-env -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-build-env -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-build-env -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-build-env -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-build-env -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
