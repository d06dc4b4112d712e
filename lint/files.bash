# The files that the linters look at; sourced, with the tree's root as working directory.

# files PATTERN: our sources as git knows them, those not yet added included, whose path matches (extended expression).
# Where the tree is no clone, all files but those of build*/.
files() {
  if [ -e .git ]; then git ls-files --cached --others --exclude-standard; else find . -path './build*' -prune -o -type f -printf '%P\n'; fi |
    LC_ALL=C sort -u | grep -E -e "$1" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

# Shell scripts: by their names, and by their first lines.
shell_scripts() {
  {
    files '\.(bash|bats|sh)$'
    files . | xargs -r -d '\n' awk 'FNR == 1 { if (/^#!.*[\/ ](ba)?sh/) print FILENAME; nextfile }'
  } | LC_ALL=C sort -u
}
