# Generated from the command's signature by scripts/completions.py; do not edit.
_kat_mine() {
    local cur prev sub flags
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} sub=
    # bash splits words at ':'; put NAME:VALUE together again
    if [[ $COMP_CWORD -ge 2 && $prev == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 3]} cur=${COMP_WORDS[COMP_CWORD - 2]}:$cur
    elif [[ $cur == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]} cur=${COMP_WORDS[COMP_CWORD - 1]}:
    fi
    COMPREPLY=()
    case " changes releases tasks " in
        *" ${COMP_WORDS[1]} "*) [[ $COMP_CWORD -gt 1 ]] && sub=${COMP_WORDS[1]} ;;
    esac
    case "$sub" in
        "changes")
            flags="--range --since --until --first-parent --with-tests -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --range) return ;;
                --since) return ;;
                --until) return ;;
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
        "releases")
            flags="--from --to --pre --offline --with-tests -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --from) return ;;
                --to) return ;;
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
        "tasks")
            flags="--from --solve --build --ordered --no-ordered -o --output --format --resume --dead-letter --rejects --max-failures --strict --lock-wait -j --jobs --ray --shard --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --from) mapfile -t COMPREPLY < <(compgen -W "swe-bench swe-smith swe-rebench multi-swe harbor livecodebench functions ifeval" -- "$cur"); return ;;
                --solve) mapfile -t COMPREPLY < <(kat-complete sandbox "$cur" 2>/dev/null | sed "s|^${cur%"${cur##*:}"}||"); return ;;
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
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        if [[ $COMP_CWORD -eq 1 ]]; then
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "changes releases tasks" -- "$cur")
        fi
    fi
}
complete -F _kat_mine kat-mine
