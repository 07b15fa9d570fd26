# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a scaffolds -d 'List the scaffolds: name, version, API, whether installed.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a sandboxes -d 'List the kinds of sandboxes and whether they work on this machine, then the boxes that there are.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a gateway -d 'Serve agents over HTTP until interrupted, then write a trajectory for each key that was used.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a trim -d 'Keep the beginning of each path of a trajectory, or one path of it.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a convert -d 'Write trajectories as rows of another format, or read such rows as trajectories.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -a view -d 'Make one HTML page of trajectories, to look at without a network.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l scaffold -d 'The agent; oracle and nop are controls.' -x -a '(kat-complete scaffold (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l engine -d 'What answers the agent; by default embedded:MODEL. openai:URL and anthropic:URL pass through.' -x -a '(kat-complete engine (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l model -d 'Model folder: tokenizer, chat template, embedded engine.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l engine-device -d 'Device of the embedded engine: auto, cpu, cuda or cuda:N.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l engine-dtype -d 'Of its weights; auto is bfloat16 on a GPU, else float32.' -x -a 'auto float32 bfloat16'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l sandbox -d 'What boxes are made by: bubblewrap or docker.' -x -a '(kat-complete sandbox (commandline -ct))'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l runtime -d 'The Docker engine'\''s runtime for boxes, such as runsc or kata.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l samples -d 'Attempts at each task.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l attempt -d 'Tells repeated rollouts of the same model apart.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l temperature -d 'Sampling temperature.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l top-p -d 'Nucleus sampling; 1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l top-k -d 'Most likely tokens; -1 is off.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l max-turns -d 'Model calls of one agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l max-tokens -d 'Sampled tokens of one attempt.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l max-completion -d 'Sampled tokens of one model call.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l context -d 'Tokens of one call; 0: what the model folder says.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l boot-timeout -d 'Longest start of a sandbox, with setup.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l timeout -d 'Longest run of an agent.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l grade-timeout -d 'Longest test run of --probe, --resample.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l command-timeout -d 'Longest run of one of its commands.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l redraws -d 'Draw a stopped attempt again, up to N times.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l probe -d 'Grade the first N samples; all equal: leave the rest out.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l resample -d 'Up to N more samples while all rewards are equal.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l prompt-price -d 'Of a million prompt tokens.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l completion-price -d 'Of a million sampled tokens.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l agent-sampling -d 'Let the agent'\''s own temperature and top-p stand (to evaluate).'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l history -d 'Earlier turns: as sampled, or as the template has them now.' -x -a 'sampled template'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l references -d 'Verified trajectories, in the place of the tasks'\'' own.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l deviation -d 'A step farther than this from every reference deviates.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l patience -d 'Deviating steps in a row that end an attempt; 0: none.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l replace -d 'Take the reference'\''s step in the place of one that deviates.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l upstream-model -d 'The model'\''s name at an outside endpoint.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l key-variable -d 'Environment variable with an outside endpoint'\''s key.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l fsync -d 'Let the journal of calls survive a loss of power.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l ordered -d 'Write records in the input'\''s order, and not each when it is done.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n 'not __fish_seen_subcommand_from scaffolds sandboxes gateway trim convert view' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l install -d 'Install this one, or `all`; may be given several times.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from scaffolds' -l check -d 'Let each that is there tell its version and answer a task, in a sandbox.'
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
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l engine-device -d 'Device of the embedded engine: auto, cpu, cuda or cuda:N.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l engine-dtype -d 'Of its weights; auto is bfloat16 on a GPU, else float32.' -x -a 'auto float32 bfloat16'
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l upstream-model -d 'The model'\''s name at an outside endpoint.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l key-variable -d 'Environment variable with an outside endpoint'\''s key.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l listen -d 'Where agents connect; port 0 is any free one.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l metrics -d 'Where Prometheus reads; nowhere by default.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l sessions -d 'Keys to hand out; each is one trajectory.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from gateway' -l processes -d 'Processes that answer, each on a core of its own.' -x
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
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l turns -d 'Keep N answers of the model on each path; 0: all.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l tokens -d 'Keep exchanges that end within N tokens; 0: all.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l paths -d 'Keep every path, or the agent'\''s own conversation alone.' -x -a 'main all'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l order -d 'Number nodes anew, depth-first and by the time of their calls.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from trim' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l to -d 'Write rows of this format.' -x -a 'atif openai anthropic mini-swe-agent swe-bench verifiers'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l from -d 'Read rows of this format, or this agent'\''s logs.' -x -a 'atif openai anthropic mini-swe-agent swe-bench verifiers claude-code cline codex'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l paths -d 'The agent'\''s own conversation, or a row for every path.' -x -a 'main all'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from convert' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l model -d 'Show tokens as text of this folder'\''s tokenizer.' -r -a '(__fish_complete_directories)'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l limit -d 'Put the first N trajectories into the page.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l seed -d 'Seed of everything random.' -x
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l no-config -d 'Read no configuration file.'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-rollout -n '__fish_seen_subcommand_from view' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
