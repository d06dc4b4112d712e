// support.tar.zst:
//
//     support.json          our version, options, exit code, kernel release, named variables, what was left out
//     report.json           as --report writes it
//     patches/0/fix.patch
//     log                   each command with its output
//     host/os-release, host/uname, host/tools
//     build/objects/…       orig.o and patched.o of what the patch touches, diff objects, modules
//
// It is sent to strangers: keys, their passwords and the environment stay here. What is in it is named one by one; of an
// address (--archive) user, password and query are dropped, there and in the log; of the environment a few variables are told
// that shape a build. Of the scratch folder come objects and modules alone, so that no link leads to a key of the kernel's build.
// Time stamps are all the same, and the order is that of the names: equal builds give equal lists.
#include "kpatch-build/support-bundle.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/files.h"
#include "support/pack.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::string_view;

std::string dumped(const json& value) { return value.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string kernel_of_host() {
  utsname name{};
  if (uname(&name) != 0) return {};
  return fmt::format("{} {} {}\n", name.sysname, name.release, name.machine);  // not the host's name
}

json environment() {
  json told = json::object();
  for (const char* name : {"LANG", "LC_ALL", "TZ", "SOURCE_DATE_EPOCH"})
    if (const char* value = std::getenv(name)) told[name] = value;
  return told;
}

json options_told(const Options& o) {
  json told = {{"shaping", options_summary(o)},
               {"fixes", o.fixes},
               {"disabled", o.disabled},
               {"jobs", o.jobs},
               {"sandbox", o.sandbox},
               {"signed", !o.sign_key.empty()},
               {"test", o.test},
               {"archive", plain_address(o.archive)}};
  json given = json::array();  // by name alone: paths of the machine say nothing to others
  for (const auto& [path, option] :
       {std::pair(&o.source, "--sourcedir"), std::pair(&o.config, "--config"), std::pair(&o.vmlinux, "--vmlinux"),
        std::pair(&o.source_package, "--sourcerpm"), std::pair(&o.modules, "--modules"),
        std::pair(&o.symvers, "--symvers"), std::pair(&o.packages, "--packages"),
        std::pair(&o.toolchain, "--toolchain"), std::pair(&o.bundle, "--bundle"),
        std::pair(&o.from_bundle, "--from-bundle"), std::pair(&o.provenance, "--provenance")})
    if (!path->empty()) given.push_back(option);
  told["given"] = std::move(given);
  return told;
}

// The tools of the kernel's build, as far as commands in the log begin with them.
std::string tools(const Build& build) {
  std::string text;
  for (const char* tool : {"gcc", "ld", "as", "make", "objcopy", "clang"}) {
    const CommandResult result = build.executor.run(
        {.argv = {"sh", "-c", "command -v \"$1\" >/dev/null && \"$1\" --version | sed -n 1p", "sh", tool},
         .directory = {},
         .environment = {}});
    if (result.ok()) text += result.output;
  }
  return text;
}

// Objects and modules below the scratch folder, sorted; links are not followed.
std::vector<fs::path> objects_in(const fs::path& scratch) {
  std::vector<fs::path> found;
  walk(scratch, [&](const fs::directory_entry& entry) {
    if (entry.is_symlink()) return true;
    if (entry.is_directory()) return entry.path().filename() != "view" && entry.path().filename() != "tmp";
    const fs::path kind = entry.path().extension();
    if (entry.is_regular_file() && (kind == ".o" || kind == ".ko")) found.push_back(entry.path());
    return true;
  });
  std::ranges::sort(found);
  return found;
}

}  // namespace

std::string plain_address(string_view address) {
  const size_t scheme = address.find("://");
  if (scheme == string_view::npos) return std::string(address);
  const string_view head = address.substr(0, scheme + 3);
  string_view rest = address.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  const size_t host_end = rest.find('/');
  const size_t user = rest.substr(0, host_end).rfind('@');
  if (user != string_view::npos) rest.remove_prefix(user + 1);
  return std::string(head) + std::string(rest);
}

std::string with_plain_addresses(string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t at = text.find("://");
    if (at == string_view::npos) break;
    size_t begin = at;
    while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) != 0)) --begin;
    const size_t end = std::min(text.find_first_of(" \t\n\"'<>", at), text.size());
    result += text.substr(0, begin);
    result += plain_address(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
  return result + std::string(text);
}

void SupportBundle::keep(const fs::path& file, const fs::path& name) {
  std::error_code none;
  const uintmax_t size = fs::file_size(file, none);
  if (none) return;
  if (size > limits_.file || size_ + size > limits_.all) {
    left_out_.push_back(fmt::format("{} ({} bytes)", name.string(), size));
    return;
  }
  const fs::path target = folder_.path() / name;
  fs::create_directories(target.parent_path(), none);
  fs::copy_file(file, target, fs::copy_options::overwrite_existing, none);
  if (!none) size_ += size;
}

void SupportBundle::gather(const Build& build) {
  const auto attempt = [](const auto& part) {
    try {
      part();
    } catch (const Error&) {
    } catch (const fs::filesystem_error&) {
    }
  };
  attempt(
      [&] { write_file(folder_.path() / "log", with_plain_addresses(read_file(build.executor.log())), Flush::no); });
  attempt([&] {
    fs::create_directories(folder_.path() / "host");
    write_file(folder_.path() / "host" / "tools", tools(build), Flush::no);
  });
  attempt([&] {
    for (const fs::path& object : objects_in(build.scratch))
      keep(object, "build" / object.lexically_relative(build.scratch));
  });
}

void SupportBundle::write(const fs::path& target, const BuildFacts& facts, const Options& options,
                          Console& console) const {
  const fs::path& folder = folder_.path();
  fs::create_directories(folder / "host");
  write_file(folder / "host" / "os-release", read_file_if_any("/etc/os-release"), Flush::no);
  write_file(folder / "host" / "uname", kernel_of_host(), Flush::no);
  write_file(folder / "report.json", with_plain_addresses(json_report(facts, options)), Flush::no);
  for (size_t i = 0; i < facts.patch_texts.size() && i < options.patches.size(); ++i) {
    const fs::path file = folder / "patches" / fmt::to_string(i) / options.patches[i].filename();
    fs::create_directories(file.parent_path());
    write_file(file, facts.patch_texts[i], Flush::no);
  }
  const json whole = {{"version", KPATCH_VERSION}, {"release", facts.release},         {"module", facts.module},
                      {"status", facts.status},    {"options", options_told(options)}, {"environment", environment()},
                      {"left_out", left_out_}};
  write_file(folder / "support.json", dumped(whole), Flush::no);
  std::vector<fs::path> files;
  walk(folder, [&](const fs::directory_entry& entry) {
    fs::last_write_time(entry.path(), std::chrono::file_clock::from_sys(std::chrono::sys_seconds{}));
    if (entry.is_regular_file()) files.push_back(entry.path());
    return true;
  });
  std::ranges::sort(files);
  console.info("the support bundle holds");
  for (const fs::path& file : files)
    console.info(fmt::format("  {} ({} bytes)", file.lexically_relative(folder).string(), fs::file_size(file)));
  for (const std::string& file : left_out_) console.info("  without " + file + ", which is too large");
  pack(target, std::vector<PackedTree>{{folder, "."}});
  console.info(fmt::format("{}: look into it before you send it", target.string()));
}

}  // namespace kpatch
