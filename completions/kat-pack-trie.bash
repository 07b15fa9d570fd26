# Generated from the command's signature by scripts/completions.py; do not edit.
_kat_pack_trie() {
    local cur prev sub flags
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} sub=
    # bash splits words at ':'; put NAME:VALUE together again
    if [[ $COMP_CWORD -ge 2 && $prev == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 3]} cur=${COMP_WORDS[COMP_CWORD - 2]}:$cur
    elif [[ $cur == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]} cur=${COMP_WORDS[COMP_CWORD - 1]}:
    fi
    COMPREPLY=()
    case " stats show " in
        *" ${COMP_WORDS[1]} "*) [[ $COMP_CWORD -gt 1 ]] && sub=${COMP_WORDS[1]} ;;
    esac
    case "$sub" in
        "")
            flags="--for --budget --cut --ranks --groups-per-step --min-reward --top --baseline --mask --shared-tokens --model -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --for) mapfile -t COMPREPLY < <(compgen -W "sft em-sft tst rft grpo gspo opd" -- "$cur"); return ;;
                --budget) return ;;
                --cut) mapfile -t COMPREPLY < <(compgen -W "none repeat" -- "$cur"); return ;;
                --ranks) return ;;
                --groups-per-step) return ;;
                --min-reward) return ;;
                --top) return ;;
                --baseline) mapfile -t COMPREPLY < <(compgen -W "group trie" -- "$cur"); return ;;
                --mask) mapfile -t COMPREPLY < <(compgen -W "span turn" -- "$cur"); return ;;
                --shared-tokens) mapfile -t COMPREPLY < <(compgen -W "sample path" -- "$cur"); return ;;
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
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
        "stats")
            flags="--budget --cut --ranks --json -o --output --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --budget) return ;;
                --cut) mapfile -t COMPREPLY < <(compgen -W "none repeat" -- "$cur"); return ;;
                --ranks) return ;;
                -o|--output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "show")
            flags="--group --pack --for --min-reward --baseline --mask --rows -o --output --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --group) return ;;
                --pack) return ;;
                --for) mapfile -t COMPREPLY < <(compgen -W "sft em-sft tst rft grpo gspo opd" -- "$cur"); return ;;
                --min-reward) return ;;
                --baseline) mapfile -t COMPREPLY < <(compgen -W "group trie" -- "$cur"); return ;;
                --mask) mapfile -t COMPREPLY < <(compgen -W "span turn" -- "$cur"); return ;;
                --rows) return ;;
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
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "stats show" -- "$cur")
        fi
    fi
}
complete -F _kat_pack_trie kat-pack-trie
