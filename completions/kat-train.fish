# Generated from the command's signature by scripts/completions.py; do not edit.
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -a init -d 'Make a new small model with random weights.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -a loop -d 'Roll out, grade, pack, train, hand the weights to the engine, and again.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l objective -d 'What is minimised.' -x -a 'sft em-sft tst rft grpo gspo opd mixed'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l model -d 'The model to start from: a transformers folder.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l lr -d 'Learning rate of AdamW.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l epochs -d 'Passes over the input; 0: until another limit.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l max-steps -d 'Stop after N optimiser steps; 0: no limit.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l plateau -d 'Stop when the mean loss of STEPS steps is less than REL (a fraction) below that of the STEPS before.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l schedule -d 'Learning rate after the warm-up; wsd stays and falls at the end.' -x -a 'constant linear cosine wsd'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l warmup -d 'Steps of linear warm-up.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l weight-decay -d 'AdamW'\''s decay.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l grad-clip -d 'Largest gradient norm; 0: no limit.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l reducer -d 'How tokens'\'' losses are averaged over the step; own: as published.' -x -a 'own token-mean seq-mean-token-mean turn-mean constant'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l constant -d 'What `--reducer constant` divides a sample by.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l clip-low -d 'Ratios above 1 - E; by default what suits the ratio.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l clip-high -d 'Ratios below 1 + E; inf: no bound.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l negative-weight -d 'Weight of negative advantages.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l segment -d 'What a ratio spans; own: a turn for gspo, else a token.' -x -a 'own token turn sequence'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l turn-ratio -d 'A turn'\''s ratio: its tokens'\'' geometric mean, or their product.' -x -a 'mean product'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l off-policy -d 'Weigh tokens by trainer over engine: drop outside, or truncate.' -x -a 'none icepop tis'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l icepop-low -d 'icepop: drop ratios below.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l icepop-high -d 'icepop: drop ratios above; inf: none.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l tis-clip -d 'tis: truncate ratios above; inf: none.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l max-staleness -d 'Mask tokens of weights over N steps old.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l kl-ref -d 'Weight of leaving the reference policy.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l kl-estimator -d 'How the divergence is estimated.' -x -a 'k1 k2 k3'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l opd-weight -d 'opd, mixed: weight of the teacher'\''s stream.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l mix-rl -d 'mixed: weight of the policy gradient.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l mix-ce -d 'mixed: weight of the supervised stream.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l difficulty-weight -d 'How much more hard tasks'\'' advantages count.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l entropy-weight -d 'How much more uncertain samples'\'' count.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l router-loss -d 'Weight of balancing experts'\'' loads; supervised only.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l passes -d 'Average log-probs over K passes that differ in numerics.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l temperature -d 'Temperature that the tokens were sampled at.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l updates -d 'Optimiser steps on each step'\''s packs.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l reference -d 'The policy that --kl-ref pulls to: a model folder.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l batch-packs -d 'Packs a step, instead of the packs'\'' own steps.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l budget -d 'Tokens whose activations are alive at once: larger rows go in parts; 0: whole rows.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l recompute -d 'Keep the layers'\'' inputs only, and compute the layers again.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l dtype -d 'Of weights and products; bfloat16 keeps master weights in float32.' -x -a 'float32 bfloat16'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l deepspeed -d 'Share the model out over the launcher'\''s processes by ZeRO, as DeepSpeed'\''s JSON FILE says.' -r -F
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l save-every -d 'Steps between two checkpoints.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l keep -d 'Checkpoints to keep.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l tensorboard -d 'Write the metrics to DIR/tensorboard too, as event files.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l attention -d 'Backend of tree attention.' -x -a 'auto reference segments triton flex fa4'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -s o -l out -d 'The folder to write.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l seed -d 'Seed of everything random.' -x
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l no-config -d 'Read no configuration file.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-train -n 'not __fish_seen_subcommand_from init loop' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l model-config -d 'JSON with fields of Qwen3Config, which win over sizes.' -r -F
complete -c kat-train -n '__fish_seen_subcommand_from init' -l text -d 'Train the tokenizer on this text; else take the one in KAT.' -r -F
complete -c kat-train -n '__fish_seen_subcommand_from init' -l vocab -d 'Entries of a tokenizer trained with --text.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l layers -d 'Decoder layers.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l hidden -d 'Hidden size.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l heads -d 'Query heads.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l kv-heads -d 'Key and value heads.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l context -d 'Longest path.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -s o -l out -d 'The folder to write.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l seed -d 'Seed of everything random.' -x
complete -c kat-train -n '__fish_seen_subcommand_from init' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-train -n '__fish_seen_subcommand_from init' -l no-config -d 'Read no configuration file.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-train -n '__fish_seen_subcommand_from init' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l model -d 'The model to start from, instead of RUN.toml'\''s.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l tasks -d 'The tasks, instead of RUN.toml'\''s.' -r -F
complete -c kat-train -n '__fish_seen_subcommand_from loop' -s o -l out -d 'The folder to write.' -r -a '(__fish_complete_directories)'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l resume -d 'Go on where an interrupted run of the same output stopped.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l lock-wait -d 'Wait this long for a busy output.' -x
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l seed -d 'Seed of everything random.' -x
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l config -d 'Options from this file, before ./kat.toml.' -r -F
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l no-config -d 'Read no configuration file.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l print-config -d 'Print every option'\''s value and source, and stop.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l dry-run -d 'Say what would be done, and stop.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -s q -l quiet -d 'Only errors on standard error.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -s v -l verbose -d 'Say more; -vv adds tracebacks.'
complete -c kat-train -n '__fish_seen_subcommand_from loop' -l log-format -d 'Messages as text or as JSON lines.' -x -a 'text json'
