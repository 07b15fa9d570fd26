# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -a scaffolds -d 'List the scaffolds: name, version, API, whether installed.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -a sandboxes -d 'List the kinds of sandboxes and whether they work on this machine, then the boxes that there are.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -a gateway -d 'Serve agents over HTTP until interrupted, then write a trajectory for each key that was used.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l scaffold -d 'The agent; oracle and nop are controls.' -x -a '(kat-complete scaffold (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l engine -d 'What answers the agent; by default embedded:MODEL. openai:URL and anthropic:URL pass through.' -x -a '(kat-complete engine (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l model -d 'Model folder: tokenizer, chat template, embedded engine.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l sandbox -d 'Where the agents run.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l samples -d 'Attempts at each task.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l attempt -d 'Tells repeated rollouts of the same model apart.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l temperature -d 'Sampling temperature.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l top-p -d 'Nucleus sampling; 1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l top-k -d 'Most likely tokens; -1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l max-turns -d 'Model calls of one agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l max-tokens -d 'Sampled tokens of one attempt.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l max-completion -d 'Sampled tokens of one model call.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l context -d 'Tokens of one call; 0: what the model folder says.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l boot-timeout -d 'Longest start of a sandbox, with setup.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l timeout -d 'Longest run of an agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l grade-timeout -d 'Longest test run of --probe, --resample.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l command-timeout -d 'Longest run of one of its commands.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l stop-far -d 'Stop after N steps in a row away from all references; 0: never.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l far -d 'Distance that a step may add and not count as away.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l redraws -d 'Draw a stopped attempt again, up to N times.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l probe -d 'Grade the first N samples; all equal: leave the rest out.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l resample -d 'Up to N more samples while all rewards are equal.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l prompt-price -d 'Of a million prompt tokens.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l completion-price -d 'Of a million sampled tokens.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l agent-sampling -d 'Let the agent'\''s own temperature and top-p stand (to evaluate).'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l history -d 'Earlier turns: as sampled, or as the template has them now.' -x -a 'sampled template'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l references -d 'Verified trajectories that attempts are kept near.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l deviation -d 'A step farther than this from every reference deviates.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l patience -d 'Deviating steps in a row that end an attempt.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l replace -l no-replace -d 'Take the reference'\''s step in the place of one that deviates.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l upstream-model -d 'The model'\''s name at an outside endpoint.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l key-variable -d 'Environment variable with an outside endpoint'\''s key.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l fsync -d 'Let the journal of calls survive a loss of power.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l install -d 'Install this one, or `all`; may be given several times.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l check -d 'Start each installed one in a sandbox and ask for its version.'
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
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l engine -d 'What answers; openai:URL and anthropic:URL pass through.' -x -a '(kat-complete engine (commandline -ct))'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l model -d 'Model folder: tokenizer and chat template.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l upstream-model -d 'The model'\''s name at an outside endpoint.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l key-variable -d 'Environment variable with an outside endpoint'\''s key.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l listen -d 'Where agents connect; port 0 is any free one.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l metrics -d 'Where Prometheus reads; nowhere by default.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l sessions -d 'Keys to hand out; each is one trajectory.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l keys -d 'Write keys and URLs there, for its owner alone; else to stderr.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l history -d 'Earlier turns: as sampled, or as the template has them now.' -x -a 'sampled template'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l temperature -d 'Sampling temperature.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l top-p -d 'Nucleus sampling; 1 is off.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l top-k -d 'Most likely tokens; -1 is off.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l max-turns -d 'Model calls of a session.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l max-tokens -d 'Sampled tokens of a session.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l max-completion -d 'Sampled tokens of one model call.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l context -d 'Tokens of prompt and answer of one call.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l timeout -d 'Longest life of a session.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l agent-sampling -d 'Let the agent'\''s own temperature and the like stand.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l journals -d 'Where calls are kept until they are written.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l recover -d 'Serve nothing: write what the journals of a killed gateway hold.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l fsync -d 'Let the journal of calls survive a loss of power.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
