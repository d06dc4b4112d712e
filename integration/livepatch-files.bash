# Livepatch modules for tests that look at what a module says, and never load one.

# write_module FILE RELEASE [FIX…]: an object with the .modinfo and the notes of a livepatch; named as the file is. With
# $contents set, it differs from one of other contents.
write_module() {
  local file=$1 release=$2 name fix
  shift 2
  name=$(basename "$file" .ko)
  {
    printf '%s\n' '.section .modinfo,"a"' '.asciz "livepatch=Y"' ".asciz \"name=${name//-/_}\"" \
      ".asciz \"vermagic=$release SMP preempt mod_unload modversions \""
    for fix; do printf '.asciz "kpatch_fixes=%s"\n' "$fix"; done
    if [ $# -gt 0 ]; then
      printf '%s\n' '.section .note.kpatch,"a",@note' '.balign 4' '.long 2f-1f, 4f-3f, 1' '1: .asciz "kpatch"' '2: .balign 4' '3:'
      for fix; do printf '.asciz "%s"\n' "$fix"; done
      echo '4: .balign 4'
    fi
    printf '.data\n.asciz "%s"\n.text\nnop\n' "${contents-}"
  } | gcc -c -x assembler -Wa,--noexecstack -Wl,--build-id -o "$file.o" - || return
  ld -r --build-id=sha1 -o "$file" "$file.o" && rm -f "$file.o"
}
