# Completion in bash, for all programs: what --help says, and files.
#
# bash-completion loads this by a program's name. Each program tells its options itself, so that this can't be out of date.

# The commands that a --help lists.
_kpatch_commands() { sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p'; }

# The options that a --help lists: those that lines begin with, and not what is said of them; with a command the ones that
# say they are its, and those that say of no command.
_kpatch_options() {
  sed -nE 's/`[^`]*`//g; s/^ +(-.*)/\1/p' | awk -v command="${1-}" '
    command == "" || !/  .*[a-z]: / || $0 ~ "[ ,;]" command "(, [a-z]+)*: "' |
    sed 's/   *[^ ].*//' | grep -oE '(^|[ ,[(])--?[a-zA-Z][a-zA-Z-]*' | grep -oE -e '-.*' | sort -u
}

_kpatch() {
  local current=$2 program=$1 name=${1##*/} help commands='' explain
  help=$("$program" --help 2>/dev/null) || return
  if [[ $name == kpatch ]]; then
    commands=$(_kpatch_commands <<<"$help")
    # kpatch NAME runs kpatch-NAME; those of the folder that it is in, where they aren't installed.
    if [[ $COMP_CWORD -gt 1 ]] && ! grep -qxF -e "${COMP_WORDS[1]}" <<<"$commands"; then
      name=kpatch-${COMP_WORDS[1]} program=${1%kpatch}kpatch-${COMP_WORDS[1]}
      [[ -x $program ]] || program=$name
      help=$("$program" --help 2>/dev/null) || return
    fi
  fi
  # klp-build's options are its commands'.
  if [[ $name == klp-build && $COMP_CWORD -gt 1 ]]; then
    help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null) || return
  fi
  if [[ $current == -* ]]; then
    if [[ $name != kpatch ]]; then
      commands=$(_kpatch_options <<<"$help")
    elif [[ $COMP_CWORD -eq 1 ]]; then
      commands=$'--help\n--version'
    else
      commands=$(_kpatch_options "${COMP_WORDS[1]}" <<<"$help")
    fi
  elif [[ $name == kpatch-explain ]]; then
    explain=$("$program" 2>/dev/null)
    commands=$(sed 's/ .*//' <<<"$explain")
  elif [[ $name == kpatch && $COMP_CWORD -eq 1 ]]; then
    commands+=$'\n'$(compgen -c kpatch- | sed 's/^kpatch-//')
  elif [[ $name == klp-build && $COMP_CWORD -eq 1 ]]; then
    commands=$(_kpatch_commands <<<"$help")
  else
    return  # files, by -o default
  fi
  mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current" | sort -u)
}
complete -o default -F _kpatch create-diff-object cvm-cli klpmake kpatch kpatch-agent kpatch-attest kpatch-build kpatch-deploy kpatch-explain kpatch-extract kpatch-fleet kpatch-keys kpatch-package kpatch-package-builder kpatch-rebuild kpatch-sign kpatch-try kpatch-verify klp-build
