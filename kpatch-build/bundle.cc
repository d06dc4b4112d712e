// bundle.tar.zst:
//
//     bundle.json                      release, name, options
//     patches/0/fix.patch
//     entries/packages/7933df1a…/      key.txt, boot/, usr/, lib/
//     entries/source/5e70661a…/        key.txt, tree/
//
// Entries of a cache are what their keys say, wherever they lie, but for bases, in which kbuild has written its paths down. So
// they are copied from one cache to the other, and the build on the other machine is an ordinary one that finds
// all that it would fetch. An entry's name is the digest of its key: one that says something else isn't taken.
#include "kpatch-build/bundle.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/archive.h"
#include "support/error.h"
#include "support/files.h"
#include "support/pack.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kinds[] = {"packages", "source", "toolchain"};

// Is a path below a folder?
bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

void refuse_given(const Options& o) {
  for (const auto& [path, option] :
       {std::pair(&o.source, "--sourcedir"), std::pair(&o.config, "--config"), std::pair(&o.vmlinux, "--vmlinux"),
        std::pair(&o.source_package, "--sourcerpm"), std::pair(&o.modules, "--modules"),
        std::pair(&o.symvers, "--symvers"), std::pair(&o.toolchain, "--toolchain")})
    if (!path->empty())
      throw Error(fmt::format(
          "--bundle holds what is in the cache, and {} names something else: --packages keeps it there", option));
}

CacheKey key_of(const std::string& text) {
  CacheKey key;
  for (const std::string_view line : lines_of(text)) {
    const std::string_view name = line.substr(0, line.find(": "));
    if (name.size() == line.size()) throw Error("a key of a cache in it is damaged");
    key.add(name, CacheKey::field(text, name).value_or(""));
  }
  return key;
}

Bundled options_of(const Options& given, const fs::path& folder) {
  Bundled result{given, {}};
  Options& o = result.options;
  const json whole = json::parse(read_file(folder / "bundle.json"));
  if (whole.at("version") != 1) throw Error("it is of a later kpatch-build");
  if (o.archversion.empty()) o.archversion = whole.at("release").get<std::string>();
  if (!o.patches.empty()) {
    for (const fs::path& patch : o.patches) result.patches.push_back(read_patch(patch));
    return result;
  }
  // The patches with all that was said of them.
  if (o.name.empty()) o.name = whole.at("name").get<std::string>();
  for (const json& patch : whole.at("patches")) {
    const fs::path file = patch.get<std::string>();
    if (!safe_path(file.string())) throw Error("its patches lie outside of it");
    result.patches.push_back({file.filename(), read_file(folder / file)});
    o.patches.push_back(file.filename());
  }
  o.replace = o.replace && whole.at("replace").get<bool>();
  o.full = o.full || whole.at("full").get<bool>();
  o.ignore_whitespace = o.ignore_whitespace || whole.at("ignore_whitespace").get<bool>();
  if (o.targets.empty()) o.targets = whole.at("targets").get<std::vector<std::string>>();
  if (o.acknowledged.empty()) o.acknowledged = whole.at("acknowledged").get<std::vector<std::string>>();
  if (o.fixes.empty()) o.fixes = whole.at("fixes").get<std::vector<std::string>>();
  return result;
}

void take_entries(const fs::path& folder, Cache& cache) {
  for (const std::string_view kind : kinds)
    for (const fs::directory_entry& entry : entries_if_any(folder / "entries" / kind)) {
      const CacheKey key = key_of(read_file(entry.path() / "key.txt"));
      if (key.digest() != entry.path().filename()) throw Error("an entry of it isn't what its key says");
      cache.entry(kind, key, fmt::format("the {} of the bundle", kind), [&](const fs::path& target) {
        for (const fs::directory_entry& part : entries_of(entry.path())) {
          const fs::path name = part.path().filename();
          if (name != "key.txt" && name != "complete") fs::rename(part.path(), target / name);
        }
      });
    }
}

}  // namespace

void write_bundle(const Build& build, const Base& base, const fs::path& target) {
  refuse_given(build.options);
  Console::Stage stage(build.console, "bundle");
  const fs::path folder = build.scratch / "bundle";
  json patches = json::array();
  for (size_t i = 0; i < build.patches.size(); ++i) {
    const fs::path file = fs::path("patches") / fmt::to_string(i) / build.patches[i].path.filename();
    fs::create_directories((folder / file).parent_path());
    write_file(folder / file, build.patches[i].text, Flush::no);
    patches.push_back(file.string());
  }
  const Options& o = build.options;
  const json whole = {{"version", 1},
                      {"release", base.release},
                      {"name", build.module},
                      {"patches", patches},
                      {"replace", o.replace},
                      {"full", o.full},
                      {"ignore_whitespace", o.ignore_whitespace},
                      {"targets", o.targets},
                      {"acknowledged", o.acknowledged},
                      {"fixes", o.fixes}};
  write_file(folder / "bundle.json", whole.dump(2) + "\n", Flush::no);
  std::vector<PackedTree> trees = {{folder, "."}};
  size_t needed = 0;
  for (const Cache::Item& item : build.cache.items()) {
    const bool of_kernel = is_below(base.source, item.directory) || is_below(base.vmlinux, item.directory);
    needed += of_kernel ? 1 : 0;
    // Of roots with a compiler nobody tells which one is in use, but that it is.
    if (std::ranges::find(kinds, item.kind) != std::end(kinds) &&
        (of_kernel || (item.kind == "toolchain" && item.held)))
      trees.push_back({item.directory, fmt::format("entries/{}/{}", item.kind, item.directory.filename().string())});
  }
  if (needed < 2 || base.built_here)
    throw Error(
        fmt::format("--bundle: {} isn't a kernel of packages in the cache; --packages keeps them there", base.release));
  pack(target, trees);
  stage.note(fmt::format("{} MB", fs::file_size(target) >> 20));
}

Bundled take_bundle(const Options& given, Console& console) {
  try {
    Cache cache(Cache::default_root(), console);
    const ScratchDirectory scratch = cache.scratch();
    {
      Console::Stage stage(console, "unpacking the bundle");
      extract(given.from_bundle, scratch.path());
    }
    take_entries(scratch.path(), cache);
    return options_of(given, scratch.path());
  } catch (const json::exception&) {
    throw Error(fmt::format("--from-bundle {}: no bundle, or a damaged one", given.from_bundle.string()));
  } catch (const Error& error) {
    throw Error(fmt::format("--from-bundle {}: {}", given.from_bundle.string(), error.what()));
  }
}

}  // namespace kpatch
