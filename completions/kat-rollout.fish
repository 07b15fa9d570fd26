# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -a scaffolds -d 'List the scaffolds: name, version, what answers.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -a sandboxes -d 'List the kinds of sandboxes and whether they work on this machine, then the boxes that there are.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l scaffold -d 'The agent; oracle and nop are controls.' -x -a '(kat-complete scaffold (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l engine -d 'What answers the agent; by default embedded:MODEL.' -x -a '(kat-complete engine (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l model -d 'Model folder: tokenizer, chat template, embedded engine.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l sandbox -d 'Where the agents run.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l samples -d 'Attempts at each task.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l attempt -d 'Tells repeated rollouts of the same model apart.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l temperature -d 'Sampling temperature.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l top-p -d 'Nucleus sampling; 1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l top-k -d 'Most likely tokens; -1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l max-turns -d 'Model calls of one agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l max-tokens -d 'Sampled tokens of one attempt.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l max-completion -d 'Sampled tokens of one model call.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l context -d 'Tokens of one call; 0: what the model folder says.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l timeout -d 'Longest run of an agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l command-timeout -d 'Longest run of one of its commands.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l agent-sampling -d 'Let the agent'\''s own temperature and top-p stand (to evaluate).'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l fsync -d 'Let the journal of calls survive a loss of power.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l clean -d 'Remove the boxes of runners that are gone.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from sandboxes' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
