# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -a stats -d 'Tabulate how much trajectories or packs share: unique, repeated and flat tokens, POR, ERR, rows.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l for -d 'The training objective.' -x -a 'sft em-sft grpo opd'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l budget -d 'Unique tokens of a row; a larger tree gets its own row.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l cut -d 'Keep a tree above --budget whole, or cut it into packs that repeat what they share.' -x -a 'none repeat'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l ranks -d 'Lay rows out so that R ranks get about equal work.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l groups-per-step -d 'Task groups of one optimiser step; 0: all of the input.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l min-reward -d 'sft, em-sft: turn away attempts below this.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l baseline -d 'grpo: compare with the group, or with those that share the prefix.' -x -a 'group trie'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l mask -d 'em-sft: mask a failed call'\''s own tokens or its whole turn.' -x -a 'span turn'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l shared-tokens -d 'Count a sampled token once per trajectory, or once per root-to-leaf path.' -x -a 'sample path'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l model -d 'Refuse trajectories of another tokenizer than this folder'\''s.' -r -a '(__fish_complete_directories)'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l seed -d 'Seed of everything random.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l no-config -d 'Read no configuration file.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l budget -d 'Unique tokens of a row; a larger tree gets its own row.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l cut -d 'Keep a tree above --budget whole, or cut it into packs that repeat what they share.' -x -a 'none repeat'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l ranks -d 'Lay rows out so that R ranks get about equal work.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l json -d 'JSON instead of a table.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l seed -d 'Seed of everything random.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l no-config -d 'Read no configuration file.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from stats' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
