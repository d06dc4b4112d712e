# Completion in bash, for all programs: what --help says, and files.
#
# bash-completion loads this by a program's name. Each program tells its options itself, so that this can't be out of date.

_kpatch() {
  local current=$2 help
  # klp-build's options are its commands'.
  if [[ ${1##*/} == klp-build && $COMP_CWORD -gt 1 ]]; then
    help=$("$1" "${COMP_WORDS[1]}" --help 2>/dev/null) || return
  else
    help=$("$1" --help 2>/dev/null) || return
  fi
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE '(^|[ ,[(])--?[a-zA-Z][a-zA-Z-]*' <<<"$help" | grep -oE -e '-.*' | sort -u)" -- "$current")
  elif [[ ${1##*/} == kpatch-explain || (${1##*/} == kpatch && ${COMP_WORDS[1]} == explain && $COMP_CWORD -gt 1) ]]; then
    # Rules; those of the program beside it, where it isn't installed.
    local explain=${1%kpatch}
    [[ ${1##*/} == kpatch ]] && explain+=kpatch-explain
    mapfile -t COMPREPLY < <(compgen -W "$("$explain" 2>/dev/null | sed 's/ .*//')" -- "$current")
  elif [[ (${1##*/} == kpatch || ${1##*/} == klp-build) && $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(sed -nE 's/^  ([a-z-]+) .*/\1/p' <<<"$help")" -- "$current")
  fi
  # Else files, by -o default.
}
complete -o default -F _kpatch cvm-cli klpmake kpatch kpatch-attest kpatch-build kpatch-deploy kpatch-explain kpatch-extract kpatch-fleet kpatch-package kpatch-package-builder kpatch-sign kpatch-keys kpatch-rebuild kpatch-try kpatch-verify klp-build
