#!/usr/bin/env bats
# Completion: what bash and zsh offer behind a program's name.

setup() {
  build_dir=${KPATCH_BUILD_DIR:-$BATS_TEST_DIRNAME/../build}
  build_dir=$(cd "$build_dir" && pwd)
  source "$BATS_TEST_DIRNAME/../completion/completion.bash"
  source "$BATS_TEST_DIRNAME/skip.bash"
}

# offered WORD…: what bash would offer for the last word, by the function that is registered for the first one.
offered() {
  local function
  function=$(complete -p "${1##*/}" | grep -oE -e '-F [^ ]+')
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  "${function#-F }" "$1" "${*: -1}" "${*: -2:1}"
  printf '%s\n' "${COMPREPLY[@]}" | sort
}

@test "options are those of each program's --help" {
  [ "$(offered "$build_dir/kpatch/kpatch" status --c)" = --cve ]
  [ "$(offered "$build_dir/package/kpatch-package" --set-)" = $'--set-release\n--set-version' ]
  [ "$(offered "$build_dir/package/kpatch-package-builder" --man)" = --manifest ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --arch)" = $'--archive\n--archive-key\n--archversion' ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --pre)" = --previous ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --ass)" = --assess ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-rebuild" --prov)" = --provenance ]
  [ "$(offered "$build_dir/fleet/kpatch-fleet" --store-)" = $'--store-cert\n--store-key\n--store-read-only\n--store-timeout' ]
  [ "$(offered "$build_dir/fleet/kpatch-fleet" --compiler)" = --compiler-launcher ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --store-t)" = --store-timeout ]
  [ "$(offered "$build_dir/deploy/kpatch-deploy" --st)" = $'--steps\n--stop-at' ]
  [ "$(offered "$build_dir/deploy/cvm-cli" --mea)" = --measurements ]
  [ -z "$(offered "$build_dir/kpatch/kpatch" status --nothing)" ]
}

@test "kpatch's commands come first, and what else is installed; behind them files" {
  [ "$(offered "$build_dir/kpatch/kpatch" un)" = $'uname\nuninstall\nunload' ]
  [[ $'\n'$(offered "$build_dir/kpatch/kpatch" "")$'\n' != *$'\n'-* ]]
  PATH=$build_dir/verify:$build_dir/try:/usr/bin:/bin
  [ "$(offered "$build_dir/kpatch/kpatch" ve)" = $'verify\nversion\nvex' ]
  [ "$(offered "$build_dir/kpatch/kpatch" tr)" = try ]
  [ -z "$(offered "$build_dir/kpatch/kpatch" load un)" ]
  [[ $(complete -p kpatch) == *'-o default'* ]]
}

@test "kpatch: options that the command takes, and none before it" {
  cd "$BATS_TEST_TMPDIR" || return 1
  local kpatch=$build_dir/kpatch/kpatch
  [ "$(offered "$kpatch" -)" = $'--help\n--version' ]
  [ "$(offered "$kpatch" load --b)" = --boot ]
  [ -z "$(offered "$kpatch" install --b)" ]
  [ "$(offered "$kpatch" unload --)" = $'--all\n--json\n--log\n--wait' ]
  [ "$(offered "$kpatch" accept --)" = $'--all\n--force\n--json' ]
  # kpatch takes each that is offered behind a command.
  local command option
  for command in load unload install uninstall accept list info status check signal force uname vex; do
    for option in $(offered "$kpatch" $command --); do
      run "$kpatch" $command "$option=none"
      [[ $output != *"belongs to kpatch"* && $output != *"unknown option"*"--$option:"* ]] || { echo "$command $option: $output"; return 1; }
    done
  done
}

@test "kpatch NAME: the options of kpatch-NAME" {
  PATH=$build_dir/verify:/usr/bin:/bin
  [ "$(offered "$build_dir/kpatch/kpatch" verify --)" = "$(offered "$build_dir/verify/kpatch-verify" --)" ]
  [ "$(offered "$build_dir/kpatch/kpatch" verify --sy)" = --symvers ]
  [ -z "$(offered "$build_dir/kpatch/kpatch" nothing --)" ]
}

@test "what a description mentions is no option" {
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --c)" = $'--cache\n--cache-max-age\n--cache-max-size\n--cert\n--config' ]
  [ "$(offered "$build_dir/kpatch-build/kpatch-build" --cv)" = "" ]
}

@test "all programs: also the agent and the differ" {
  [ "$(offered "$build_dir/create-diff-object/create-diff-object" --str)" = --struct-size ]
  [ ! -x "$build_dir/agent/kpatch-agent" ] || [ "$(offered "$build_dir/agent/kpatch-agent" --tok)" = --token-hash ]
  [ ! -x "$build_dir/attest/kpatch-attest" ] || [ "$(offered "$build_dir/attest/kpatch-attest" --pa)" = --path ]
}

@test "kpatch-explain: rules" {
  [ "$(offered "$build_dir/rules/kpatch-explain" dropped-f)" = $'dropped-fix\ndropped-function' ]
  [ "$(offered "$build_dir/rules/kpatch-explain" --j)" = --json ]
  mkdir "$BATS_TEST_TMPDIR/bin"
  cp "$build_dir/kpatch/kpatch" "$build_dir/rules/kpatch-explain" "$BATS_TEST_TMPDIR/bin/"
  [ "$(offered "$BATS_TEST_TMPDIR/bin/kpatch" explain data-l)" = data-layout ]
}

@test "klp-build: commands first, then each one's options" {
  [ -x "$build_dir/klp-build/klp-build" ] || skip_package "built without libclang"
  [ "$(offered "$build_dir/klp-build/klp-build" c)" = $'check-inline\nclean-sources\ncleanup\ncommit\ncs-diff' ]
  [ "$(offered "$build_dir/klp-build/klp-build" setup --mod)" = $'--mod\n--mod-file-funcs\n--module' ]
  [ "$(offered "$build_dir/klp-build/klp-build" cs-diff --e)" = --exit-code ]
}

@test "a program that isn't there offers nothing" {
  run offered "$build_dir/none/kpatch" un
  [ -z "$output" ]
}

# offered_by_zsh WORD…: what zsh would offer for the last word. Its compadd and _files are doubles that print.
offered_by_zsh() {
  command -v zsh >/dev/null || skip_package "zsh is not installed"
  zsh -f -c '
    compadd() { local match; for match in "${@[2,-1]}"; do [[ $match != $words[CURRENT]* ]] || print -r -- $match; done }
    _files() { print files }
    complete_words() { local words=("$@") CURRENT=$#; source "'"$BATS_TEST_DIRNAME"'/../completion/_kpatch" }
    complete_words "$@"' zsh "$@" | sort
}

@test "zsh offers what bash does" {
  local words PATH=$build_dir/verify:$PATH
  for words in "kpatch/kpatch status --c" "package/kpatch-package --set-" "kpatch-build/kpatch-build --arch" \
    "kpatch/kpatch un" "kpatch/kpatch -" "kpatch/kpatch install --" "kpatch/kpatch verify --" "kpatch/kpatch ve" \
    "create-diff-object/create-diff-object --str" "rules/kpatch-explain dropped-f" "kpatch-build/kpatch-build --nothing"; do
    # shellcheck disable=SC2086 # words
    set -- $words
    [ "$(offered_by_zsh "$build_dir/$1" "${@:2}")" = "$(offered "$build_dir/$1" "${@:2}")" ]
  done
  [ "$(offered_by_zsh "$build_dir/kpatch/kpatch" load un)" = files ]
  # It is asked for each program that bash completes.
  local program
  for program in $(grep '^complete' "$BATS_TEST_DIRNAME/../completion/completion.bash" | grep -oE '(create-diff|cvm|kpatch|klp)[a-z-]*'); do
    head -n 1 "$BATS_TEST_DIRNAME/../completion/_kpatch" | grep -qw -e "$program"
  done
}
