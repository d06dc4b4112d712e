// What happens on the machine when a package comes or goes
//
//     installed   running kernel's, no kpatch.enable=0   kpatch load
//     upgraded    the same; the old module has the name  kpatch load, refused ─► kpatch unload, kpatch load
//     removed     running kernel's, loaded               kpatch unload
//
// A newer module of another name takes the old one's place in one transition, by kpatch load alone. One of the same name
// can't: the kernel has room for one module of a name. kpatch load refuses that with 1, nothing changed; after 2 or 3
// (taken back, between) nothing more is tried.
//
// A package manager that a script fails is left half-way, in the middle of somebody's update. So all of them end with 0,
// and say on stderr what didn't work. Nor do they do anything in a root that is being built for another machine: there is
// no livepatch folder in its sysfs.
#include "package/scriptlets.h"

#include <fmt/format.h>

namespace kpatch {
namespace {

// The package manager's arguments: rpm gives how many of the package will be there, dpkg what it does.
const char* upgrading(PackageFormat format) {
  return format == PackageFormat::rpm ? R"sh([ "${1:-1}" -ge 2 ])sh" : R"sh([ -n "${2:-}" ])sh";
}

const char* wanted(PackageFormat format, Moment moment) {
  if (format == PackageFormat::rpm) return moment == Moment::after_install ? "true" : R"sh([ "${1:-0}" = 0 ])sh";
  switch (moment) {
    case Moment::after_install:
      return R"sh([ "${1:-}" = configure ] || [ "${1:-}" = abort-remove ])sh";
    case Moment::before_removal:
      return R"sh([ "${1:-}" = remove ])sh";
    default:
      return R"sh([ "${1:-}" = remove ] || [ "${1:-}" = purge ])sh";
  }
}

constexpr const char* here = R"sh(here() {
  [ "$1" = "$(uname -r)" ] && [ -d /sys/kernel/livepatch ] && command -v kpatch >/dev/null 2>&1
}
)sh";

constexpr const char* load = R"sh(enabled() {
  answer=0
  set -f
  for word in $(cat /proc/cmdline 2>/dev/null); do
    case $word in
      kpatch.enable=0) answer=1 ;;
      kpatch.enable=*) answer=0 ;;
    esac
  done
  set +f
  return $answer
}
each() {
  # What was tried before is gone.
  rm -f "/var/lib/kpatch/$1/$3.trial"
  here "$1" && enabled || return 0
  kpatch load "/var/lib/kpatch/$1/$2"
  status=$?
  if [ $status = 1 ] && [ -n "$upgrade" ] && [ -d "/sys/kernel/livepatch/$3" ]; then
    echo "$3: the older module of this name is unloaded first" >&2
    kpatch unload "$3" && kpatch load "/var/lib/kpatch/$1/$2"
    status=$?
  fi
  [ $status = 0 ] || echo "$3 isn't loaded; kpatch load /var/lib/kpatch/$1/$2 tries again" >&2
}
)sh";

constexpr const char* unload = R"sh(each() {
  here "$1" && [ -d "/sys/module/$3" ] || return 0
  kpatch unload "$3" || echo "$3 stays loaded until the next start" >&2
}
)sh";

constexpr const char* clean = R"sh(each() {
  rm -f "/var/lib/kpatch/$1/$3.trial"
  [ ! -d "/var/lib/kpatch/$1" ] || rmdir "/var/lib/kpatch/$1" 2>/dev/null
}
)sh";

}  // namespace

std::string scriptlet(const Package& package, PackageFormat format, Moment moment) {
  std::string script;
  if (moment == Moment::after_install)
    script = fmt::format("{}{}upgrade=\n{} && upgrade=1\n", here, load, upgrading(format));
  else if (moment == Moment::before_removal)
    script = fmt::format("{}{}", here, unload);
  else
    script = clean;
  script += fmt::format("if {}; then\n", wanted(format, moment));
  for (const PackagedModule& module : package.modules)
    script += fmt::format("  each '{}' '{}.ko' '{}'\n", module.release, module.name, kernel_spelling(module.name));
  return script + "fi\nexit 0\n";
}

}  // namespace kpatch
