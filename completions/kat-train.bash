# Generated from the command's signature by scripts/completions.py; do not edit.
_kat_train() {
    local cur prev sub flags
    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} sub=
    # bash splits words at ':'; put NAME:VALUE together again
    if [[ $COMP_CWORD -ge 2 && $prev == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 3]} cur=${COMP_WORDS[COMP_CWORD - 2]}:$cur
    elif [[ $cur == : ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]} cur=${COMP_WORDS[COMP_CWORD - 1]}:
    fi
    COMPREPLY=()
    case " init loop " in
        *" ${COMP_WORDS[1]} "*) [[ $COMP_CWORD -gt 1 ]] && sub=${COMP_WORDS[1]} ;;
    esac
    case "$sub" in
        "")
            flags="--objective --model --lr --epochs --max-steps --plateau --schedule --warmup --weight-decay --grad-clip --reducer --constant --clip-low --clip-high --negative-weight --segment --turn-ratio --off-policy --icepop-low --icepop-high --tis-clip --max-staleness --kl-ref --kl-estimator --opd-weight --mix-rl --mix-ce --difficulty-weight --entropy-weight --router-loss --passes --temperature --updates --reference --batch-packs --budget --recompute --dtype --deepspeed --save-every --keep --tensorboard --attention -o --out --resume --lock-wait --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --objective) mapfile -t COMPREPLY < <(compgen -W "sft em-sft tst rft grpo gspo opd mixed" -- "$cur"); return ;;
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --lr) return ;;
                --epochs) return ;;
                --max-steps) return ;;
                --plateau) return ;;
                --schedule) mapfile -t COMPREPLY < <(compgen -W "constant linear cosine wsd" -- "$cur"); return ;;
                --warmup) return ;;
                --weight-decay) return ;;
                --grad-clip) return ;;
                --reducer) mapfile -t COMPREPLY < <(compgen -W "own token-mean seq-mean-token-mean turn-mean constant" -- "$cur"); return ;;
                --constant) return ;;
                --clip-low) return ;;
                --clip-high) return ;;
                --negative-weight) return ;;
                --segment) mapfile -t COMPREPLY < <(compgen -W "own token turn sequence" -- "$cur"); return ;;
                --turn-ratio) mapfile -t COMPREPLY < <(compgen -W "mean product" -- "$cur"); return ;;
                --off-policy) mapfile -t COMPREPLY < <(compgen -W "none icepop tis" -- "$cur"); return ;;
                --icepop-low) return ;;
                --icepop-high) return ;;
                --tis-clip) return ;;
                --max-staleness) return ;;
                --kl-ref) return ;;
                --kl-estimator) mapfile -t COMPREPLY < <(compgen -W "k1 k2 k3" -- "$cur"); return ;;
                --opd-weight) return ;;
                --mix-rl) return ;;
                --mix-ce) return ;;
                --difficulty-weight) return ;;
                --entropy-weight) return ;;
                --router-loss) return ;;
                --passes) return ;;
                --temperature) return ;;
                --updates) return ;;
                --reference) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --batch-packs) return ;;
                --budget) return ;;
                --dtype) mapfile -t COMPREPLY < <(compgen -W "float32 bfloat16" -- "$cur"); return ;;
                --deepspeed) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --save-every) return ;;
                --keep) return ;;
                --attention) mapfile -t COMPREPLY < <(compgen -W "auto reference segments triton flex fa4" -- "$cur"); return ;;
                -o|--out) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --lock-wait) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "init")
            flags="--model-config --text --vocab --layers --hidden --heads --kv-heads --context -o --out --resume --lock-wait --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --model-config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --text) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --vocab) return ;;
                --layers) return ;;
                --hidden) return ;;
                --heads) return ;;
                --kv-heads) return ;;
                --context) return ;;
                -o|--out) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --lock-wait) return ;;
                --seed) return ;;
                --config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur"); return ;;
            esac
            ;;
        "loop")
            flags="--model --tasks -o --out --resume --lock-wait --seed --config --no-config --print-config --dry-run -q --quiet -v --verbose --log-format --help"
            case "$prev" in
                --model) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --tasks) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
                -o|--out) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
                --lock-wait) return ;;
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
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "init loop" -- "$cur")
        fi
    fi
}
complete -F _kat_train kat-train
