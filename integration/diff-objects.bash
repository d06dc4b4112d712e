# What create-diff-object made in a run of kpatch-build, taken from its scratch directory. After kernels.bash and use_kernel.

# diff_objects DIRECTORY PATCH [OPTION…]: builds with build_options as livepatch-$kind, and leaves in DIRECTORY the diff objects, named by the object that is
# patched and its source, and "log". The scratch directory would be removed by the next run of anybody in this cache:
# its lock is awaited, taken and held until all is copied.
diff_objects() {
  local directory=$1 patch=$2 scratch='' pid status=0 file n=0 objects
  shift 2
  rm -rf "$directory"
  mkdir -p "$directory"
  : >"$directory/log"
  timeout 1800 "$(kpatch_build_program)" "${build_options[@]}" -n "livepatch-$kind" -o "$directory" --skip-cleanup \
    --report "$directory/report.json" "$@" "$patch" >"$directory/log" 2>&1 &
  pid=$!
  while [ -z "$scratch" ] && kill -0 $pid 2>/dev/null; do
    sleep 0.05
    scratch=$(sed -n 's/^scratch directory: //p' "$directory/log")
  done
  [ -n "$scratch" ] && (
    flock 9
    mapfile -t objects < <(python3 -c 'import json, sys
for o in json.load(open(sys.argv[1]))["objects"]: print((o["object"] + " " + o["source"]).replace("/", ":"))' \
      "$directory/report.json" 2>/dev/null)
    while read -r file; do
      cp "$file" "$directory/${objects[n]}.o"
      n=$((n + 1))
    done < <(find "$scratch/diff" -name '*.diff.o' 2>/dev/null | sort -V)
  ) 9>"$scratch.lock"
  wait $pid || status=$?
  rm -rf "$scratch" "$scratch.lock"
  [ $status -eq 0 ] || grep -m 1 -iE 'error' "$directory/log" || tail -n 1 "$directory/log"
  return $status
}
