# Cuts the difference of two source trees (diff -rupN OLD NEW on standard input) into patches of the size of a commit.
# Called by cut-patches, which tells what comes in and goes out: old, new (the trees) and output (a folder).
#
# Every changed .c file is one unit, and so is every hunk of a header, since a header collects the changes of many
# commits. Units belong together when one declares on a changed line what another one uses on a changed line:
#
#     include/net/foo.h   -int foo_get(int id);           net/foo/core.c   +int foo_get(int id, int flags)
#                         +int foo_get(int id, int flags);  net/bar.c        +       foo_get(id, 0);
#
# are one patch of two .c files. Names alone would not do (every second struct has a member `flags`), so the user must
# also be able to see the header, through any number of #includes, and a member must be used as one (`->flags`).
# Hunks that no changed .c file needs (comments, inline functions that changed for themselves) are counted and left.
#
# A header that half the kernel reads ties commits together that have nothing to do with each other. A group of more
# files than any commit has is therefore taken apart: each of its .c files with the header hunks that it needs itself.

function fail(message) {
  print "cut-patches: " message >"/dev/stderr"
  failed = 1
  exit 1
}

# --- reading the difference ---

# Ours alone: what is no part of a kernel image or module is left out.
function relative(path, tree) { return substr(path, length(tree) + 2) }
function wanted(path) {
  return path ~ /\.[ch]$/ && path !~ /^(tools|scripts|samples|Documentation|usr|certs)\//
}

function new_unit(path) {
  units++
  unit_file[units] = path
  unit_first[units] = lines + 1
  group[units] = units
  if (path ~ /\.c$/) c_unit[path] = units
  return units
}

/^diff -rupN / { current = 0; file = ""; next }
/^--- / && !in_hunk { old_path = relative($2, old); old_empty = /\t1970-01-01 /; next }
/^\+\+\+ / && !in_hunk {
  file = relative($2, new)
  # A new or deleted .c file comes with a Makefile's change, and is another kind of patch.
  if (!wanted(file) || (file ~ /\.c$/ && (old_empty || /\t1970-01-01 /))) { file = ""; next }
  files++
  created[file] = old_empty
  deleted[file] = /\t1970-01-01 /
  if (file ~ /\.c$/) current = new_unit(file)
  next
}
/^@@ / {
  split($2, from, ",")
  split($3, to, ",")
  old_left = $2 ~ /,/ ? from[2] : 1
  new_left = $3 ~ /,/ ? to[2] : 1
  in_hunk = old_left + new_left
  if (file == "") next
  if (file ~ /\.h$/) current = new_unit(file)
  hunks++
  hunk_unit[hunks] = current
  hunk_old_start[hunks] = -from[1]
  hunk_old_count[hunks] = old_left
  hunk_new_count[hunks] = new_left
  hunk_title[hunks] = index($0, "@@ ") == 1 && match(substr($0, 4), / @@.*/) ? substr($0, 3 + RSTART + 3) : ""
  hunk_first[hunks] = lines + 1
  hunk_last[hunks] = lines
  unit_hunks[current] = unit_hunks[current] " " hunks
  next
}
in_hunk && /^[-+ ]/ {
  in_hunk -= /^ / ? 2 : 1
  if (file == "") next
  line[++lines] = $0
  hunk_last[hunks] = lines
  next
}
/^\\ No newline/ {
  if (file != "") { line[++lines] = $0; hunk_last[hunks] = lines }
  next
}

# --- what a header's hunk declares ---

function without_comments(text) {
  gsub(/"[^"]*"/, "", text)
  gsub(/\/\*([^*]|\*[^\/])*\*\//, "", text)
  sub(/\/\/.*/, "", text)
  sub(/\/\*.*/, "", text)
  return text ~ /^[ \t]*\*([ \t\/]|$)/ ? "" : text
}

# The words of one side of a header.
function read_words(path,   text) {
  if (path in words_read) return
  words_read[path] = 1
  while ((getline text <path) > 0) {
    text = without_comments(text)
    while (match(text, /[A-Za-z_][A-Za-z_0-9]*/)) {
      words[path, substr(text, RSTART, RLENGTH)] = 1
      text = substr(text, RSTART + RLENGTH)
    }
  }
  close(path)
}

# Whether a word stands on both the removed and the added lines of a hunk.
function on_both_sides(hunk, name,   i, text, minus, plus) {
  minus = plus = 0
  for (i = hunk_first[hunk]; i <= hunk_last[hunk]; i++) {
    text = substr(line[i], 2)
    if (!match(text, "(^|[^A-Za-z_0-9])" name "([^A-Za-z_0-9]|$)")) continue
    if (line[i] ~ /^-/) minus = 1
    if (line[i] ~ /^\+/) plus = 1
  }
  return minus && plus
}

# declare UNIT NAME: member is 1 for what is used behind a dot or an arrow only. A member that only one side of the header
# knows is what the commit is about; any other one has a name like `flags`, or another type, and says nothing. A name of
# several words (icsk_keepalive_timer) is nobody else's: it may come from another struct of the header, and stand in a
# macro's arguments.
function declare(unit, name, member) {
  if (length(name) < 3 || name ~ /^__(must_hold|releases|acquires|counted_by|printf)$/) return
  if (member && name ~ /[a-z]_[a-z]/) {
    if (on_both_sides(unit_hunks[unit] + 0, name)) return
    declare(unit, name, 0)
    name = "." name
  } else if (member) {
    read_words(old "/" unit_file[unit])
    read_words(new "/" unit_file[unit])
    if (((old "/" unit_file[unit], name) in words) == ((new "/" unit_file[unit], name) in words)) return
    name = "." name
  }
  if (index(declared[unit], " " name " ")) return
  declared[unit] = declared[unit] (declared[unit] == "" ? " " : "") name " "
  declarers[name] = declarers[name] " " unit
}

# The identifier before the first parenthesis, attributes aside.
function called(text) {
  while (match(text, /[A-Za-z_][A-Za-z_0-9]*[ \t]*\(/)) {
    name = substr(text, RSTART, RLENGTH - 1)
    sub(/[ \t]+$/, "", name)
    if (name !~ /^(__attribute__|__printf|__must_hold|__acquires|__releases|typeof|sizeof|if|while|for|switch|return)$/)
      return name
    text = substr(text, RSTART + RLENGTH)
  }
  return ""
}

function last_identifier(text) {
  sub(/[ \t]*(:[ \t]*[0-9A-Za-z_]+)?[ \t]*[;,=].*$/, "", text)
  sub(/(\[[^]]*\])+[ \t]*$/, "", text)
  return match(text, /[A-Za-z_][A-Za-z_0-9]*$/) ? substr(text, RSTART) : ""
}

# Of a function or a pointer to one: typedef int (*lock_cmp_fn)(const struct lockdep_map *a,
function typedef_name(text,   name) {
  if (text !~ /^typedef/ || !match(text, /\(\*?[ \t]*[A-Za-z_0-9]+\)[ \t]*\(/)) return ""
  name = substr(text, RSTART + 1)
  sub(/^[*( \t]*/, "", name)
  sub(/[^A-Za-z_0-9].*/, "", name)
  return name
}

function declare_line(unit, text) {
  if (match(text, /^[ \t]*#[ \t]*define[ \t]+[A-Za-z_0-9]+/)) {
    name = substr(text, RSTART, RLENGTH)
    sub(/.*[ \t]/, "", name)
    declare(unit, name, 0)
  } else if (typedef_name(text) != "") {
    declare(unit, typedef_name(text), 0)
  } else if (match(text, /\(\*[ \t]*[A-Za-z_0-9]+\)[ \t]*\(/)) {
    name = substr(text, RSTART + 2)
    sub(/[^A-Za-z_0-9].*/, "", name)
    declare(unit, name, 1)
  } else if (text ~ /^[A-Za-z_]/) {
    if (match(text, /^(struct|union|enum)[ \t]+[A-Za-z_0-9]+[ \t]*;/)) return
    if (match(text, /^(struct|union|enum)[ \t]+[A-Za-z_0-9]+[ \t]*\{?[ \t]*$/)) {
      split(text, word, /[ \t{;]+/)
      declare(unit, word[2], 0)
    } else if (text ~ /\(/) declare(unit, called(text), 0)
    else if (text ~ /;/) declare(unit, last_identifier(text), 0)
  } else if (text ~ /^[ \t]+[A-Z_][A-Z_0-9]*[ \t]*(,|=|$)/) {
    match(text, /[A-Z_][A-Z_0-9]*/)
    declare(unit, substr(text, RSTART, RLENGTH), 0)
  } else if (text ~ /^[ \t]+[A-Za-z_][^()=]*[ \t*][A-Za-z_][A-Za-z_0-9]*(\[[^]]*\])*[ \t]*(:[ \t]*[0-9A-Za-z_]+)?;/) {
    declare(unit, last_identifier(text), 1)
  }
}

# A declaration may span lines, of which only a later one changed: open is the name that it declares.
function declarations(unit, hunk,   i, text, open) {
  open = ""
  for (i = hunk_first[hunk]; i <= hunk_last[hunk]; i++) {
    text = without_comments(substr(line[i], 2))
    if (text ~ /^[A-Za-z_].*\(/ && text !~ /[;{]/) open = text ~ /^typedef/ ? typedef_name(text) : called(text)
    if (line[i] !~ /^[ \\]/) {
      declare_line(unit, text)
      if (open != "") declare(unit, open, 0)
    }
    if (text ~ /[;{}]/) open = ""
  }
}

# --- who uses it ---

# The files that a file includes, as changed headers may be reached: paths from the folder itself or from an -I of kbuild.
function read_includes(path,   tree, text, name, folder, list, found) {
  if (path in includes) return includes[path]
  includes[path] = ""
  folder = path
  sub(/[^\/]*$/, "", folder)
  list = ""
  found = 0
  while ((getline text <(new "/" path)) > 0) {
    if (!match(text, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/)) continue
    name = substr(text, RSTART, RLENGTH - 1)
    sub(/^[^"<]*["<]/, "", name)
    list = list " " resolve(folder, name)
  }
  close(new "/" path)
  includes[path] = list
  return list
}

function normal(path) {
  while (path ~ /[^\/]+\/\.\.\//) sub(/[^\/]+\/\.\.\//, "", path)
  gsub(/\/\.\//, "/", path)
  return path
}

function exists(path,   text, status) {
  if (!(path in existing)) {
    status = (getline text <(new "/" path))
    close(new "/" path)
    existing[path] = status >= 0
  }
  return existing[path]
}

function resolve(folder, name,   i, path) {
  if ((folder, name) in resolved) return resolved[folder, name]
  path = ""
  if (name ~ /^asm\// && exists("arch/x86/include/" name)) path = "arch/x86/include/" name
  else if (exists(normal(folder name))) path = normal(folder name)
  else if (exists("include/" name)) path = "include/" name
  else if (exists("include/uapi/" name)) path = "include/uapi/" name
  # An -I that only a Makefile knows: any changed header with that path at its end.
  for (i = 1; path == "" && i <= headers; i++) {
    if (substr(header[i], length(header[i]) - length(name)) == "/" name) path = header[i]
  }
  return resolved[folder, name] = path
}

function sees(user, wanted_header,   stack, depth, list, n, i, part) {
  if (user == wanted_header) return 1
  if (!((user, "") in reach)) {
    reach[user, ""] = 1
    depth = 1
    stack[1] = user
    while (depth > 0) {
      n = split(read_includes(stack[depth--]), part, " ")
      for (i = 1; i <= n; i++) {
        if ((user, part[i]) in reach) continue
        reach[user, part[i]] = 1
        stack[++depth] = part[i]
      }
    }
  }
  return (user, wanted_header) in reach
}

function find(unit) {
  while (group[unit] != unit) unit = group[unit] = group[group[unit]]
  return unit
}

# The smaller number stays, so that a group is called after its first file.
function join(a, b) {
  a = find(a)
  b = find(b)
  if (a < b) group[b] = a
  else group[a] = b
}

function use(unit, name,   n, i, part) {
  if (!(name in declarers)) return
  n = split(declarers[name], part, " ")
  for (i = 1; i <= n; i++) {
    if (part[i] == unit || (unit, part[i]) in need || !sees(unit_file[unit], unit_file[part[i]])) continue
    needs[unit] = needs[unit] " " part[i]
    need[unit, part[i]] = 1
    join(part[i], unit)
  }
}

function uses(unit, text,   name, before) {
  if (match(text, /^[ \t]*#[ \t]*include/)) return
  while (match(text, /[A-Za-z_][A-Za-z_0-9]*/)) {
    name = substr(text, RSTART, RLENGTH)
    before = substr(text, 1, RSTART - 1)
    if (before ~ /(\.|->)$/) use(unit, "." name)
    else use(unit, name)
    text = substr(text, RSTART + RLENGTH)
  }
}

# Everything on the changed lines, and what the statement or declaration around a changed line calls: an argument may have
# been added on a later line than the name.
function uses_of_hunk(unit, hunk,   i, text, open) {
  open = ""
  for (i = hunk_first[hunk]; i <= hunk_last[hunk]; i++) {
    text = without_comments(substr(line[i], 2))
    if (line[i] ~ /^[-+]/) {
      uses(unit, text)
      include_of(unit, substr(line[i], 2))
      while (match(open, /[A-Za-z_][A-Za-z_0-9]*\(/)) {
        use(unit, substr(open, RSTART, RLENGTH - 1))
        open = substr(open, RSTART + RLENGTH)
      }
    }
    if (text ~ /[;{}:][ \t]*$|^[ \t]*$/) open = ""
    else open = open " " text
  }
}

# A header that is new or goes belongs to those that come to include it or stop to.
function include_of(unit, text,   name, folder, path, i) {
  if (!match(text, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/)) return
  name = substr(text, RSTART, RLENGTH - 1)
  sub(/^[^"<]*["<]/, "", name)
  folder = unit_file[unit]
  sub(/[^\/]*$/, "", folder)
  for (i = 1; i <= units; i++) {
    path = unit_file[i]
    if ((created[path] || deleted[path]) && (path == normal(folder name) || path ~ ("/" name "$"))) {
      if (created[path]) needs[unit] = needs[unit] " " i
      join(i, unit)
    }
  }
}

# --- writing ---

function label(path) {
  sub(/\.[ch]$/, "", path)
  gsub(/\//, "-", path)
  return path
}

function write_unit(target, unit,   n, i, j, part, path) {
  path = unit_file[unit]
  if (last_path[target] != path) {
    print "--- " (created[path] ? "/dev/null" : "a/" path) >target
    print "+++ " (deleted[path] ? "/dev/null" : "b/" path) >target
    last_path[target] = path
    shift[target] = 0
  }
  n = split(unit_hunks[unit], part, " ")
  for (i = 1; i <= n; i++) {
    j = part[i]
    print "@@ -" hunk_old_start[j] "," hunk_old_count[j] " +" (created[path] ? 1 : deleted[path] ? 0 : hunk_old_start[j] + shift[target]) \
      "," hunk_new_count[j] " @@" hunk_title[j] >target
    shift[target] += hunk_new_count[j] - hunk_old_count[j]
    for (j = hunk_first[part[i]]; j <= hunk_last[part[i]]; j++) print line[j] >target
  }
}

function begin_patch(path,   target) {
  target = output "/" label(path) ".patch"
  if (!(target in last_path)) { patches++; last_path[target] = "" }
  return target
}

# The patch of one .c file, with what it needs, and what that needs.
function write_alone(unit,   target, taken, stack, depth, n, i, part) {
  taken[unit] = 1
  stack[depth = 1] = unit
  while (depth > 0) {
    n = split(needs[stack[depth--]], part, " ")
    for (i = 1; i <= n; i++) {
      if (part[i] in taken) continue
      taken[part[i]] = 1
      stack[++depth] = part[i]
    }
  }
  target = begin_patch(unit_file[unit])
  for (i = 1; i <= units; i++) if (i in taken) write_unit(target, i)
}

BEGIN { most_files = 40 }

END {
  if (failed) exit 1
  for (u = 1; u <= units; u++) {
    if (unit_file[u] !~ /\.h$/) continue
    if (!(unit_file[u] in seen)) { header[++headers] = unit_file[u]; seen[unit_file[u]] = 1 }
    declarations(u, unit_hunks[u] + 0)
  }
  for (u = 1; u <= units; u++) {
    n = split(unit_hunks[u], part, " ")
    for (h = 1; h <= n; h++) uses_of_hunk(u, part[h])
  }
  # A group is worth a patch when it has a .c file.
  for (u = 1; u <= units; u++) {
    if (unit_file[u] !~ /\.c$/) continue
    c_files[find(u)]++
    if (!(find(u) in name_of)) name_of[find(u)] = unit_file[u]
  }
  for (u = 1; u <= units; u++) {
    g = find(u)
    if (!(g in name_of)) { unused++; continue }
    if (c_files[g] <= most_files) write_unit(begin_patch(name_of[g]), u)
    else if (unit_file[u] ~ /\.c$/) write_alone(u)
  }
  printf "%d patches of %d changed files; %d header hunks that no changed .c file needs\n", patches, files, unused
}
