# Generated from the command's signature by scripts/completions.py; do not edit.
_kat_rollout() {
    local cur prev sub flags
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} sub=
    # bash splits words at ':'; put NAME:VALUE together again
    if [[ $COMP_CWORD -ge 2 && $prev == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 3]} cur=${COMP_WORDS[COMP_CWORD - 2]}:$cur
    elif [[ $cur == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]} cur=${COMP_WORDS[COMP_CWORD - 1]}:
    fi
    COMPREPLY=()
    case " scaffolds sandboxes gateway trim convert view " in
        *" ${COMP_WORDS[1]} "*) [[ $COMP_CWORD -gt 1 ]] && sub=${COMP_WORDS[1]} ;;
    esac
    case "$sub" in
        "")
            flags="--scaffold --engine --model --engine-device --engine-dtype --sandbox --runtime --samples --attempt --temperature --top-p --top-k --max-turns --max-tokens --max-completion --context --boot-timeout --timeout --grade-timeout --command-timeout --redraws --probe --resample --prompt-price --completion-price --agent-sampling --history --references --deviation --patience --replace --upstream-model --key-variable --fsync -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --ordered --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --scaffold) mapfile -t COMPREPLY < <(kat-complete scaffold "$cur" 2>/dev/null | sed "s|^${cur%"${cur##*:}"}||"); return ;;
                --engine) compopt -o nospace 2>/dev/null; mapfile -t COMPREPLY < <(kat-complete engine "$cur" 2>/dev/null | sed "s|^${cur%"${cur##*:}"}||"); return ;;
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --engine-device) return ;;
                --engine-dtype) mapfile -t COMPREPLY < <(compgen -W "auto float32 bfloat16" -- "$cur"); return ;;
                --sandbox) mapfile -t COMPREPLY < <(kat-complete sandbox "$cur" 2>/dev/null | sed "s|^${cur%"${cur##*:}"}||"); return ;;
                --runtime) return ;;
                --samples) return ;;
                --attempt) return ;;
                --temperature) return ;;
                --top-p) return ;;
                --top-k) return ;;
                --max-turns) return ;;
                --max-tokens) return ;;
                --max-completion) return ;;
                --context) return ;;
                --boot-timeout) return ;;
                --timeout) return ;;
                --grade-timeout) return ;;
                --command-timeout) return ;;
                --redraws) return ;;
                --probe) return ;;
                --resample) return ;;
                --prompt-price) return ;;
                --completion-price) return ;;
                --history) mapfile -t COMPREPLY < <(compgen -W "sampled template" -- "$cur"); return ;;
                --references) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --deviation) return ;;
                --patience) return ;;
                --upstream-model) return ;;
                --key-variable) return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --format) mapfile -t COMPREPLY < <(compgen -W "jsonl zst parquet" -- "$cur"); return ;;
                --dead-letter) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --rejects) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --max-failures) return ;;
                --lock-wait) return ;;
                -j|--jobs) return ;;
                --ray) return ;;
                --shard) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "scaffolds")
            flags="--install --check -o --output --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --install) return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "sandboxes")
            flags="--clean -o --output --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "gateway")
            flags="--engine --model --engine-device --engine-dtype --upstream-model --key-variable --listen --metrics --sessions --processes --keys --history --temperature --top-p --top-k --max-turns --max-tokens --max-completion --context --timeout --agent-sampling --journals --recover --fsync -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --engine) compopt -o nospace 2>/dev/null; mapfile -t COMPREPLY < <(kat-complete engine "$cur" 2>/dev/null | sed "s|^${cur%"${cur##*:}"}||"); return ;;
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --engine-device) return ;;
                --engine-dtype) mapfile -t COMPREPLY < <(compgen -W "auto float32 bfloat16" -- "$cur"); return ;;
                --upstream-model) return ;;
                --key-variable) return ;;
                --listen) return ;;
                --metrics) return ;;
                --sessions) return ;;
                --processes) return ;;
                --keys) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --history) mapfile -t COMPREPLY < <(compgen -W "sampled template" -- "$cur"); return ;;
                --temperature) return ;;
                --top-p) return ;;
                --top-k) return ;;
                --max-turns) return ;;
                --max-tokens) return ;;
                --max-completion) return ;;
                --context) return ;;
                --timeout) return ;;
                --journals) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --format) mapfile -t COMPREPLY < <(compgen -W "jsonl zst parquet" -- "$cur"); return ;;
                --dead-letter) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --rejects) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --max-failures) return ;;
                --lock-wait) return ;;
                -j|--jobs) return ;;
                --ray) return ;;
                --shard) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "trim")
            flags="--turns --tokens --paths --order -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --turns) return ;;
                --tokens) return ;;
                --paths) mapfile -t COMPREPLY < <(compgen -W "main all" -- "$cur"); return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --format) mapfile -t COMPREPLY < <(compgen -W "jsonl zst parquet" -- "$cur"); return ;;
                --dead-letter) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --rejects) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --max-failures) return ;;
                --lock-wait) return ;;
                -j|--jobs) return ;;
                --ray) return ;;
                --shard) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "convert")
            flags="--to --from --paths -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --to) mapfile -t COMPREPLY < <(compgen -W "atif openai anthropic mini-swe-agent swe-bench verifiers" -- "$cur"); return ;;
                --from) mapfile -t COMPREPLY < <(compgen -W "atif openai anthropic mini-swe-agent swe-bench verifiers claude-code cline codex" -- "$cur"); return ;;
                --paths) mapfile -t COMPREPLY < <(compgen -W "main all" -- "$cur"); return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --format) mapfile -t COMPREPLY < <(compgen -W "jsonl zst parquet" -- "$cur"); return ;;
                --dead-letter) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --rejects) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --max-failures) return ;;
                --lock-wait) return ;;
                -j|--jobs) return ;;
                --ray) return ;;
                --shard) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "view")
            flags="--model --limit -o --output --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --limit) return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        if [[ $COMP_CWORD -eq 1 ]]; then
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "scaffolds sandboxes gateway trim convert view" -- "$cur")
        fi
    fi
}
complete -F _kat_rollout kat-rollout
