// Reading a plan
//
//     kernels: ["trixie:*-cloud-amd64", 6.1.0-56-cloud-amd64]
//     output: out
//     fixes:
//       - name: net-2
//         patches: [net-2.patch]
//         follows: net-1
//         for:
//           - kernels: "6.1.*"
//             patches: [net-2-for-6.1.patch]
//
// Every key is one of ours, and is there once: a misspelt one that is passed over in silence would be a fix without its
// backport. Names in a plan are relative to its folder. Every value is read at a fixed depth, so that aliases of aliases
// cost nothing.
#include <fmt/format.h>
#include <fnmatch.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <initializer_list>
#include <set>

#include "fleet/fleet.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t largest_plan = 1 << 20;

class PlanReader {
 public:
  explicit PlanReader(const fs::path& file) : file_(file), folder_(fs::absolute(file).parent_path()) {}

  Plan read() const {
    const std::string text = read_file(file_);
    if (text.size() > largest_plan) throw Error(fmt::format("{}: more than 1 MiB; is it a plan?", file_.string()));
    try {
      return plan_of(YAML::Load(text));
    } catch (const YAML::Exception& error) {
      fail(error.mark, error.msg);
    }
  }

 private:
  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    throw Error(mark.is_null() ? fmt::format("{}: {}", file_.string(), what)
                               : fmt::format("{}:{}: {}", file_.string(), mark.line + 1, what));
  }

  void require_map(const YAML::Node& node, std::string_view what, std::initializer_list<std::string_view> keys) const {
    if (!node.IsMap()) fail(node.Mark(), fmt::format("{}: keys and values are meant", what));
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      if (std::ranges::find(keys, key) == keys.end())
        fail(entry.first.Mark(), fmt::format("{}: \"{}\" is no key of it", what, key));
      if (!seen.insert(key).second) fail(entry.first.Mark(), fmt::format("{}: \"{}\" is there twice", what, key));
    }
  }

  std::string word(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!node) return {};
    if (!node.IsScalar() || node.Scalar().empty()) fail(node.Mark(), fmt::format("{}: a word is meant", key));
    return node.Scalar();
  }

  std::vector<std::string> words(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!node) return {};
    if (node.IsScalar()) return {word(map, key)};
    std::vector<std::string> all;
    if (node.IsSequence())
      for (const auto& item : node) {
        if (!item.IsScalar()) fail(item.Mark(), fmt::format("{}: a list of words is meant", key));
        all.push_back(item.Scalar());
      }
    if (all.empty()) fail(node.Mark(), fmt::format("{}: a list is meant", key));
    return all;
  }

  unsigned number(const YAML::Node& map, const char* key, unsigned otherwise) const {
    unsigned value = otherwise;
    if (map[key] && (!YAML::convert<unsigned>::decode(map[key], value) || value > 4096))
      fail(map[key].Mark(), fmt::format("{}: a number up to 4096 is meant", key));
    return value;
  }

  bool flag(const YAML::Node& map, const char* key) const {
    bool value = false;
    if (map[key] && !YAML::convert<bool>::decode(map[key], value))
      fail(map[key].Mark(), fmt::format("{}: true or false is meant", key));
    return value;
  }

  fs::path path(const std::string& name) const {
    return name.empty() ? fs::path() : (folder_ / name).lexically_normal();
  }

  std::vector<fs::path> paths(const YAML::Node& map, const char* key) const {
    std::vector<fs::path> all;
    for (const std::string& name : words(map, key)) all.push_back(path(name));
    return all;
  }

  // A key may be a URI of PKCS#11.
  std::string key_of(const std::string& name) const {
    return name.empty() || name.starts_with("pkcs11:") ? name : path(name).string();
  }

  Fix fix_of(const YAML::Node& node) const {
    require_map(node, "a fix", {"name", "patches", "follows", "for"});
    Fix fix{word(node, "name"), paths(node, "patches"), word(node, "follows"), {}};
    if (fix.name.empty()) fail(node.Mark(), "a fix has a name");
    if (fix.patches.empty()) fail(node.Mark(), fmt::format("{} has no patches", fix.name));
    if (!node["for"]) return fix;
    for (const auto& item : node["for"]) {
      require_map(item, "for", {"kernels", "patches"});
      fix.backports.push_back({word(item, "kernels"), paths(item, "patches")});
      if (fix.backports.back().kernels.empty() || fix.backports.back().patches.empty())
        fail(item.Mark(), "for: kernels and patches are both needed");
    }
    return fix;
  }

  StorePlace store_of(const YAML::Node& node) const {
    StorePlace store;
    if (!node) return store;
    require_map(node, "store", {"at", "read-only", "key", "cert", "timeout"});
    store.where = word(node, "at");
    store.read_only = flag(node, "read-only");
    store.key = key_of(word(node, "key"));
    store.certificate = path(word(node, "cert"));
    store.patience = number(node, "timeout", store.patience);
    if (store.where.find("://") == std::string::npos) store.where = path(store.where).string();
    return store;
  }

  Plan plan_of(const YAML::Node& node) const {
    require_map(node, "the plan",
                {"kernels", "fixes", "output", "jobs", "launchers", "hosts", "retries", "store", "compiler-launcher",
                 "sign", "package", "try", "archive", "archive-key"});
    Plan plan;
    plan.kernels = words(node, "kernels");
    for (const auto& item : node["fixes"]) plan.fixes.push_back(fix_of(item));
    plan.output = path(word(node, "output"));
    plan.jobs = number(node, "jobs", 0);
    plan.retries = number(node, "retries", plan.retries);
    plan.launchers = words(node, "launchers");
    plan.hosts = words(node, "hosts");
    plan.store = store_of(node["store"]);
    plan.compiler_launcher = word(node, "compiler-launcher");
    if (const YAML::Node sign = node["sign"]; sign) {
      require_map(sign, "sign", {"key", "cert"});
      plan.sign_key = key_of(word(sign, "key"));
      plan.certificate = path(word(sign, "cert"));
    }
    plan.package = word(node, "package");
    plan.try_it = flag(node, "try");
    plan.archive = word(node, "archive");
    plan.archive_key = path(word(node, "archive-key"));
    return plan;
  }

  const fs::path& file_;
  fs::path folder_;
};

const Fix* fix_named(const Plan& plan, const std::string& name) {
  const auto found = std::ranges::find(plan.fixes, name, &Fix::name);
  return found == plan.fixes.end() ? nullptr : &*found;
}

// It becomes a folder, and a part of the module's name.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 40 && name.front() != '.' && name.front() != '-' &&
         std::ranges::all_of(name,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

void require_series(const Plan& plan, const Fix& fix) {
  std::set<std::string> seen = {fix.name};
  for (const Fix* at = &fix; !at->follows.empty();) {
    const Fix* next = fix_named(plan, at->follows);
    if (!next) throw Error(fmt::format("{} follows {}, which the plan doesn't have", at->name, at->follows));
    if (!seen.insert(next->name).second) throw Error(fmt::format("{} follows itself", fix.name));
    at = next;
  }
}

void require_patches(const std::vector<fs::path>& patches) {
  for (const fs::path& patch : patches)
    if (std::error_code ignored; !fs::is_regular_file(patch, ignored))
      throw Error(fmt::format("{}: there is no such patch", patch.string()));
}

}  // namespace

Plan read_plan(const fs::path& file) { return PlanReader(file).read(); }

void require_sound(const Plan& plan) {
  if (plan.kernels.empty()) throw Error("for which kernels? --kernels RELEASE-OR-PATTERN…, or a plan's \"kernels\"");
  if (plan.fixes.empty()) throw Error("which fix? give patches, or a plan's \"fixes\"");
  if (plan.output.empty()) throw Error("where to? -o DIR, or a plan's \"output\"");
  std::set<std::string> names;
  for (const Fix& fix : plan.fixes) {
    if (!is_plain_name(fix.name))
      throw Error(fmt::format("a fix's name is of at most 40 letters, digits, '-', '_' and '.': \"{}\"", fix.name));
    if (!names.insert(fix.name).second) throw Error(fmt::format("two fixes are called {}", fix.name));
    require_series(plan, fix);
    require_patches(fix.patches);
    for (const Backport& backport : fix.backports) require_patches(backport.patches);
  }
  if (plan.sign_key.empty() != plan.certificate.empty()) throw Error("sign: a key and its certificate belong together");
  if (!plan.package.empty() && plan.package != "deb" && plan.package != "rpm")
    throw Error(fmt::format("package {}: deb or rpm is meant", plan.package));
  require_sound(plan.store);
}

std::vector<fs::path> patches_of(const Plan& plan, const Fix& fix, std::string_view release) {
  std::vector<fs::path> all;
  if (const Fix* before = fix.follows.empty() ? nullptr : fix_named(plan, fix.follows); before)
    all = patches_of(plan, *before, release);
  const std::string name(release);
  const auto backport = std::ranges::find_if(
      fix.backports, [&](const Backport& b) { return fnmatch(b.kernels.c_str(), name.c_str(), 0) == 0; });
  const std::vector<fs::path>& own = backport == fix.backports.end() ? fix.patches : backport->patches;
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

}  // namespace kpatch
