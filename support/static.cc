// What a static program must not do, for programs that are built with -Dstatic=true (packaging/tarball).
//
// glibc loads libraries into static programs too: for names of groups and users those that /etc/nsswitch.conf names, and by
// dlopen, with which elfutils looks for libdebuginfod.so whenever $DEBUGINFOD_URLS is set. Those libraries are made for
// the machine's glibc and not for the one in the program: at best they don't load, at worst it dies.
//
//     getgrgid(1000)  ->  /etc/nsswitch.conf: "group: files systemd"  ->  libnss_systemd.so.2  ->  libc.so.6
#include <dlfcn.h>
#include <nss.h>

// Called before main; meson.build has the linker want it.
extern "C" [[gnu::constructor]] void kpatch_ask_files_alone() {
  __nss_configure_lookup("group", "files");
  __nss_configure_lookup("passwd", "files");
}

// In place of glibc's.
extern "C" void* dlopen(const char*, int) { return nullptr; }
