// Names in packages
//
//     livepatch-test.patch ─► package  kpatch-module-livepatch-test
//                             module   kpatch-livepatch-test, so kpatch_livepatch_test in sysfs
//                             file     /var/lib/kpatch/RELEASE/kpatch-livepatch-test.ko
//
// A patch's name comes from outside, and goes into a spec file, in which rpm expands macros and runs programs (%(…),
// %{lua:…}) wherever they stand, and into scripts that root runs. So what isn't a plain name is refused, not quoted: a
// package can't have such a name anyway, and each place would have to quote in its own way.
#include "package/contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <system_error>
#include <utility>

#include "arch/arch.h"
#include "kpatch/kpatch.h"
#include "patch/patch.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr size_t longest_module_name = 55;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_plain(string_view text, string_view more) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return is_letter(c) || is_digit(c) || more.find(c) != string_view::npos;
  });
}

// For a message: control characters would reach the terminal.
std::string shown(string_view text) {
  std::string result;
  for (const char c : text)
    result += std::iscntrl(static_cast<unsigned char>(c)) != 0 ? fmt::format("\\x{:02x}", c) : std::string(1, c);
  return result;
}

std::string plain_copy(string_view text) {
  std::string copy;
  for (const char c : text) copy += is_plain(string_view(&c, 1), "._+-") ? c : '-';
  return copy;
}

void require_plain_file(const fs::path& source) {
  const std::string name = source.filename().string();
  if (is_plain(name, "._+-") && name.front() != '.') return;
  std::string better = plain_copy(name);
  better.erase(0, better.find_first_not_of(".-"));
  throw Error(
      fmt::format("{}: a package takes its name from the file's, in which letters, digits and ._+- may be: "
                  "rename it, {} would do",
                  shown(source.string()), better.empty() ? "fix.patch" : better));
}

}  // namespace

std::optional<PackageArch> package_arch(string_view name) {
  for (const Arch* arch : architectures())
    if (!name.empty() && (name == arch->distro.rpm || name == arch->distro.debian))
      return PackageArch{std::string(arch->distro.rpm), std::string(arch->distro.debian)};
  return std::nullopt;
}

PackageArch host_package_arch() {
  const Arch* arch = find_arch(host_machine());
  if (arch == nullptr || arch->distro.rpm.empty())
    throw Error("packages for this machine's architecture aren't known; name one that is with -a");
  return {std::string(arch->distro.rpm), std::string(arch->distro.debian)};
}

std::string rpm_kernel(const std::string& release, const std::string& arch) {
  std::string kernel = release;
  if (kernel.ends_with("." + arch)) kernel.resize(kernel.size() - arch.size() - 1);
  const size_t dash = kernel.find('-');
  if (dash == std::string::npos) return {};
  // "229.el7", "503.15.1.el9_5", "100.fc40": a number first, and a word with a number in it
  const std::string build = kernel.substr(dash + 1);
  const bool tagged = !build.empty() && is_digit(build.front()) && build.find('-') == std::string::npos &&
                      std::ranges::any_of(fields_of(build, '.'), [](string_view part) {
                        return !part.empty() && is_letter(part.front()) && std::ranges::any_of(part, is_digit);
                      });
  return tagged ? kernel : std::string();
}

std::string release_of(const std::string& given, const std::string& arch) {
  // It becomes a part of paths.
  if (!is_plain(given, "._+~-") || !is_digit(given.front()))
    throw Error(fmt::format("\"{}\" is no kernel's version; uname -r prints that of this one", shown(given)));
  const std::string kernel = rpm_kernel(given, arch);
  return kernel.empty() ? given : kernel + "." + arch;
}

std::string package_name(const std::string& base) {
  if (!is_plain(base, "._+-"))
    throw Error(fmt::format("\"{}\": in a package's name letters, digits and ._+- may be; {} would do", shown(base),
                            base.empty() ? "fix" : plain_copy(base)));
  return "kpatch-module-" + base;
}

std::string packaged_name(const std::string& base) {
  std::string name = "kpatch-" + base;
  for (char& c : name)
    if (!is_letter(c) && !is_digit(c) && c != '_') c = '-';
  if (name.size() > longest_module_name) name.resize(longest_module_name);
  return name;
}

std::string kernel_spelling(const std::string& name) { return module_name(string_view(name)); }

std::string base_name(const fs::path& source) {
  std::string base = source.stem().string();
  constexpr string_view ours = "kpatch-";
  if (source.extension() == ".ko" && base.starts_with(ours) && base.size() > ours.size()) base.erase(0, ours.size());
  return base;
}

PackagedModule packaged_module(const fs::path& source, const std::string& release) {
  require_plain_file(source);
  std::error_code error;
  const fs::file_status status = fs::status(source, error);
  if (!fs::exists(status)) throw Error(fmt::format("{}: there is no such file", source.string()));
  if (!fs::is_regular_file(status)) throw Error(fmt::format("{}: it is no file", source.string()));
  PackagedModule module;
  module.source = source;
  module.ready = source.extension() == ".ko";
  if (!module.ready) {
    // kpatch-build reads it again; a package of something else would fail only there.
    parse_patch(source, read_file(source));
    module.name = packaged_name(base_name(source));
    module.release = release;
    return module;
  }
  const ModuleFile file = read_module(source);
  require_livepatch(file);
  module.name = source.stem().string();
  // The kernel goes by the name in the module; a file of another name would be found by nobody.
  if (module_name(string_view(module.name)) != file.name)
    throw Error(fmt::format("{}: the module in it is called {}; rename the file to {}.ko", source.string(), file.name,
                            file.name));
  module.release = release_of(file.release, host_package_arch().rpm);
  if (module.release != file.release)
    throw Error(fmt::format("{}: \"{}\" is no kernel's release", source.string(), file.release));
  if (!release.empty() && release != file.release)
    throw Error(fmt::format("{}: it is for {}, not for {}", source.string(), file.release, release));
  module.fixes = file.fixes();
  for (const std::string& fix : module.fixes)  // they go into the package's description
    if (!is_plain(fix, "._:+-"))
      throw Error(fmt::format("{}: it says that it fixes \"{}\", which is no CVE, commit or advisory", source.string(),
                              shown(fix)));
  return module;
}

// deb-version(7): a version begins with a digit. What rpm has more is the underscore, and less two dots in a row.
void require_version(PackageFormat format, const std::string& option, const std::string& text) {
  if (format == PackageFormat::rpm) return require_release(format, option, text);
  if (!is_plain(text, ".+~") || !is_digit(text.front()))
    throw Error(fmt::format("{} {}: it begins with a digit, and has only letters, digits and .+~; so dpkg wants it",
                            option, shown(text)));
}

void require_release(PackageFormat format, const std::string& option, const std::string& text) {
  const bool rpm = format == PackageFormat::rpm;
  if (!is_plain(text, rpm ? "._+~" : ".+~") || !(is_letter(text.front()) || is_digit(text.front())) ||
      (rpm && text.find("..") != std::string::npos))
    throw Error(fmt::format("{} {}: it begins with a letter or digit, and has only those and {}", option, shown(text),
                            rpm ? "._+~, no two dots in a row" : ".+~"));
}

void require_distinct(const Package& package) {
  std::set<std::pair<std::string, std::string>> files;
  for (const PackagedModule& module : package.modules)
    if (!files.emplace(module.release, kernel_spelling(module.name)).second)
      throw Error(fmt::format("{}: two modules are called {} for {}; rename one of the files", package.name,
                              module.name, module.release));
}

std::vector<std::string> releases_of(const Package& package) {
  std::vector<std::string> releases;
  for (const PackagedModule& module : package.modules)
    if (std::ranges::count(releases, module.release) == 0) releases.push_back(module.release);
  return releases;
}

std::string description_of(const Package& package) {
  std::vector<std::string> files, fixes;
  for (const PackagedModule& module : package.modules) {
    if (const std::string file = module.source.filename().string(); std::ranges::count(files, file) == 0)
      files.push_back(file);
    for (const std::string& fix : module.fixes)
      if (std::ranges::count(fixes, fix) == 0) fixes.push_back(fix);
  }
  std::string text = fmt::format("Package generated from {} by {}", joined(files, ", "), package.tool);
  if (!fixes.empty()) text += "\nFixes: " + joined(fixes, ", ");
  return text;
}

}  // namespace kpatch
