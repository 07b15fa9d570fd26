# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -a stats -d 'Tabulate how much trajectories or packs share: unique, repeated and flat tokens, POR, ERR, rows.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -a show -d 'Draw a trie as SVG: the shared trunk, the branches, their boundaries, and what is trained.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l for -d 'The training objective.' -x -a 'sft em-sft tst rft grpo gspo opd'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l budget -d 'Unique tokens of a row; a larger tree gets its own row.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l cut -d 'Keep a tree above --budget whole, or cut it into packs that repeat what they share.' -x -a 'none repeat'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l ranks -d 'Lay rows out so that R ranks get about equal work.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l groups-per-step -d 'Task groups of one optimiser step; 0: all of the input.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l min-reward -d 'sft, em-sft, tst, rft: turn away attempts below this.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l top -d 'rft: take the N best attempts of a group; 0: all.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l baseline -d 'grpo: compare with the group, or with those that share the prefix.' -x -a 'group trie'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l mask -d 'em-sft: mask a failed call'\''s own tokens or its whole turn.' -x -a 'span turn'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l shared-tokens -d 'Count a sampled token once per trajectory, or once per root-to-leaf path.' -x -a 'sample path'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l model -d 'Render text with this folder'\''s tokenizer; refuse another'\''s tokens.' -r -a '(__fish_complete_directories)'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l format -d 'Format of the output; by default FILE'\''s suffix.' -x -a 'jsonl zst parquet'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l dead-letter -d 'Keep records that could not be processed (exit 3).' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l rejects -d 'Keep records that were turned away, with the reason.' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l max-failures -d 'Stop after more than N dead letters.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l strict -d 'Stop at the first record that cannot be processed.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -s j -l jobs -d 'Work on N records at a time.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l ray -d 'Work on a Ray cluster; `local` starts one here.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l shard -d 'Take the I-th of N parts of the work, I from 0.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l seed -d 'Seed of everything random.' -x
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l no-config -d 'Read no configuration file.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-pack-trie -n 'not __fish_seen_subcommand_from stats show' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
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
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l group -d 'The group to draw; by default the one with most samples.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l pack -d 'The pack to draw; by default the first, if no trajectories come.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l for -d 'Colour trajectories by what this objective trains.' -x -a 'sft em-sft tst rft grpo gspo opd'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l min-reward -d 'sft, em-sft, tst, rft: turn away attempts below this.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l baseline -d 'grpo: compare with the group, or with those that share the prefix.' -x -a 'group trie'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l mask -d 'em-sft: mask a failed call'\''s own tokens or its whole turn.' -x -a 'span turn'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l rows -d 'Draw at most N branch ends one by one.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -s o -l output -d 'Write here instead of standard output (-).' -r -F
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l seed -d 'Seed of everything random.' -x
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l no-config -d 'Read no configuration file.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-pack-trie -n '__fish_seen_subcommand_from show' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
