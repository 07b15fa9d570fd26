"""Completions for bash, zsh and fish from the commands' own signatures; dynamic values come from `kat-complete`.

Usage: python scripts/completions.py [--check]
"""

from __future__ import annotations

import sys

import drift

from katcli.contract import Program
from katcli.surface import Option, Surface, programs, surface

HEAD = "# Generated from the command's signature by scripts/completions.py; do not edit."


def quote(text: str) -> str:
    """A single-quoted shell word."""
    return "'" + text.replace("'", "'\\''") + "'"


def flags(option: Option) -> list[str]:
    """Every spelling of an option, `--shuffle/--no-shuffle` taken apart."""
    return [part for flag in option.flags for part in flag.split("/")]


def subcommands(program: Program) -> list[Surface]:
    return [surface(command) for name, command in program.commands.items() if name]


# ------------------------------------------------------------------------------------------------- bash


def bash(program: Program) -> str:
    function = "_" + program.prog.replace("-", "_")
    names = " ".join(seen.name for seen in subcommands(program))
    cases = "\n".join(_bash_case(seen) for seen in map(surface, program.commands.values()))
    return f"""{HEAD}
{function}() {{
    local cur prev sub flags
    cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} sub=
    # bash splits words at ':'; put NAME:VALUE together again
    if [[ $COMP_CWORD -ge 2 && $prev == : ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 3]}} cur=${{COMP_WORDS[COMP_CWORD - 2]}}:$cur
    elif [[ $cur == : ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}} cur=${{COMP_WORDS[COMP_CWORD - 1]}}:
    fi
    COMPREPLY=()
    case " {names} " in
        *" ${{COMP_WORDS[1]}} "*) [[ $COMP_CWORD -gt 1 ]] && sub=${{COMP_WORDS[1]}} ;;
    esac
    case "$sub" in
{cases}
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        if [[ $COMP_CWORD -eq 1 ]]; then
            mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -W "{names}" -- "$cur")
        fi
    fi
}}
complete -F {function} {program.prog}
"""


def _bash_case(seen: Surface) -> str:
    every = " ".join(flag for option in seen.options for flag in flags(option)) + " --help"
    values = "\n".join(_bash_value(option) for option in seen.options if option.takes_value)
    return f"""        "{seen.name}")
            flags="{every}"
            case "$prev" in
{values}
            esac
            ;;"""


def _bash_value(option: Option) -> str:
    pattern = "|".join(flags(option))
    if option.values:
        source = f'compgen -W "{" ".join(option.values)}" -- "$cur"'
    elif option.dynamic:
        # readline replaces only what follows the last ':'
        source = f'kat-complete {option.dynamic} "$cur" 2>/dev/null | sed "s|^${{cur%"${{cur##*:}}"}}||"'
    elif option.path:
        source = f'compgen -{"d" if option.path == "folder" else "f"} -- "$cur"'
    else:
        return f"                {pattern}) return ;;"
    extra = "compopt -o filenames 2>/dev/null; " if option.path else ""
    if option.dynamic in {"engine", "model"}:
        extra = "compopt -o nospace 2>/dev/null; "
    return f"                {pattern}) {extra}mapfile -t COMPREPLY < <({source}); return ;;"


# -------------------------------------------------------------------------------------------------- zsh


def zsh(program: Program) -> str:
    function = "_" + program.prog
    cases = "\n".join(_zsh_case(seen) for seen in subcommands(program))
    default = surface(program.commands[""]) if "" in program.commands else Surface("", "", "")
    listed = " ".join(quote(f"{seen.name}:{seen.summary}") for seen in subcommands(program))
    names = "|".join(seen.name for seen in subcommands(program)) or "-"
    return f"""#compdef {program.prog}
{HEAD}
{function}() {{
    local curcontext="$curcontext" state line
    if (( CURRENT > 2 )); then
        case $words[2] in
            {names}) local sub=$words[2]; shift words; (( CURRENT-- )) ;;
        esac
        case $sub in
{cases}
        esac
    elif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        local -a subcommands=({listed})
        (( $#subcommands )) && _describe -t commands subcommand subcommands
    fi
    _arguments -s -S \\
{_zsh_arguments(default)}
}}
_kat_dynamic() {{
    local -a found=(${{(f)"$(kat-complete $1 "$PREFIX" 2>/dev/null)"}})
    compadd -S '' -a found
}}
{function} "$@"
"""


def _zsh_case(seen: Surface) -> str:
    return f"            {seen.name}) _arguments -s -S \\\n{_zsh_arguments(seen)}; return ;;"


def _zsh_arguments(seen: Surface) -> str:
    rows = [_zsh_option(option) for option in seen.options]
    rows += ["'(- *)--help[Show the help]'", "'*:file:_files'"]
    return " \\\n".join(f"                {row}" for row in rows)


def _zsh_option(option: Option) -> str:
    names = flags(option)
    told = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{option.metavar.lower().replace(':', '') or 'value'}:{_zsh_values(option)}" if option.takes_value else ""
    many = "*" if option.repeats else f"({' '.join(names)})"
    spelled = "{" + ",".join(names) + "}" if len(names) > 1 else names[0]
    return f"{quote(many)}{spelled}{quote(f'[{told}]{value}')}"


def _zsh_values(option: Option) -> str:
    if option.values:
        return f"({' '.join(option.values)})"
    if option.dynamic:
        return f" _kat_dynamic {option.dynamic}"  # the blank keeps _arguments from adding words of its own
    return {"file": "_files", "folder": "_files -/"}.get(option.path, " ")


# ------------------------------------------------------------------------------------------------- fish


def fish(program: Program) -> str:
    names = " ".join(seen.name for seen in subcommands(program))
    lines = [HEAD]
    for seen in subcommands(program):
        when = quote(f"not __fish_seen_subcommand_from {names}")
        lines.append(f"complete -c {program.prog} -n {when} -a {seen.name} -d {quote(seen.summary)}")
    for command in program.commands.values():
        seen = surface(command)
        when = f"__fish_seen_subcommand_from {seen.name}" if seen.name else f"not __fish_seen_subcommand_from {names}"
        condition = f" -n {quote(when)}" if names else ""
        lines += [_fish_option(program.prog, condition, option) for option in seen.options]
    return "\n".join(lines) + "\n"


def _fish_option(prog: str, condition: str, option: Option) -> str:
    spelled = " ".join(f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in flags(option))
    line = f"complete -c {prog}{condition} {spelled} -d {quote(option.help)}"
    if not option.takes_value:
        return line
    if option.values:
        return f"{line} -x -a {quote(' '.join(option.values))}"
    if option.dynamic:
        return f"{line} -x -a {quote(f'(kat-complete {option.dynamic} (commandline -ct))')}"
    if option.path:
        return f"{line} -r" + (" -a '(__fish_complete_directories)'" if option.path == "folder" else " -F")
    return f"{line} -x"


def main() -> int:
    wanted = {}
    for program in programs():
        wanted[f"completions/{program.prog}.bash"] = bash(program)
        wanted[f"completions/_{program.prog}"] = zsh(program)
        wanted[f"completions/{program.prog}.fish"] = fish(program)
    return drift.settle(wanted, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
