# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-distill -n 'not __fish_seen_subcommand_from score choose' -a score -d 'Add an expert'\''s log-probs to packs.'
complete -c kat-distill -n 'not __fish_seen_subcommand_from score choose' -a choose -d 'Choose the best expert for each task from graded trajectories.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l expert -d 'An expert and its model folder.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l choice -d 'The expert of each task, as kat-distill choose wrote it.' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l temperature -d 'Temperature that the tokens were sampled at.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l device -d 'Where experts run: auto, cpu, cuda or cuda:N.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l dtype -d 'Of experts'\'' weights; auto is bfloat16 on a GPU, else float32.' -x -a 'auto float32 bfloat16'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l seed -d 'Seed of everything random.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l no-config -d 'Read no configuration file.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-distill -n '__fish_seen_subcommand_from score' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l expert -d 'An expert and its graded trajectories.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l min-samples -d 'Unmasked attempts that an expert needs on a task.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l seed -d 'Seed of everything random.' -x
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l no-config -d 'Read no configuration file.'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-distill -n '__fish_seen_subcommand_from choose' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
