// "This module is that patch": whoever is told so can try. The statement has
//
//     subject                 livepatch-fix.ko, sha256
//     externalParameters      release, name, options, the patches themselves
//     resolvedDependencies    patches, source, config, vmlinux, Module.symvers, modules, cc, cc1, as, ld: sha256 of each
//     builder.version         kpatch-build
//
// and kpatch-rebuild makes the module again and compares. The digest of a folder is that of the lines that sha256sum would
// print of its files, sorted by path; links count by what they say. A digest of a program is of the file that the
// kernel's build runs, in its root where it has one. Names of this machine's folders aren't in it.
#include "kpatch-build/provenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/base64.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* statement_type = "https://in-toto.io/Statement/v1";
constexpr const char* predicate_type = "https://slsa.dev/provenance/v1";
constexpr const char* build_type = "urn:kpatch-build:livepatch:1";

std::string digest_of_folder(const fs::path& folder) {
  std::vector<std::string> lines;
  walk(folder, [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (entry.is_symlink())
      lines.push_back(fmt::format("{}  {}\n", sha256_of(fs::read_symlink(entry.path()).string()), name));
    else if (entry.is_regular_file())
      lines.push_back(fmt::format("{}  {}\n", sha256_of(read_file(entry.path())), name));
    return true;
  });
  std::ranges::sort(lines, {}, [](const std::string& line) { return std::string_view(line).substr(66); });
  return sha256_of(joined(lines, ""));
}

// A source in the cache never changes, and is a gigabyte and more.
std::string digest_of_source(const fs::path& source) {
  const fs::path kept = source.parent_path() / "tree.sha256";
  const bool in_cache = source.filename() == "tree" && fs::exists(source.parent_path() / "complete");
  if (in_cache)
    if (std::string digest = read_file_if_any(kept); digest.size() == 64) return digest;
  std::string digest = digest_of_folder(source);
  if (in_cache) write_file(kept, digest);
  return digest;
}

std::string digest_of_program(const std::string& program, const Build& build) {
  const CommandResult sum = build.executor.run(
      {.argv = {"sh", "-c", "sha256sum <\"$(command -v \"$1\")\"", "sh", program}, .directory = {}, .environment = {}});
  if (!sum.ok() || sum.output.size() < 64) build.executor.fail("no digest of " + program, sum);
  return sum.output.substr(0, 64);
}

std::vector<std::pair<std::string, std::string>> programs(const Base& base, const Build& build) {
  std::vector<std::pair<std::string, std::string>> list = {{"compiler", base.compiler.front()}};
  for (const char* part : {"cc1", "as", "ld"}) {
    std::vector<std::string> argv = base.compiler;
    argv.push_back(fmt::format("-print-prog-name={}", part));
    const CommandResult where = build.executor.run({.argv = argv, .directory = {}, .environment = {}});
    if (!where.ok()) build.executor.fail(fmt::format("{} doesn't tell its {}", base.compiler.front(), part), where);
    const char* name = part == std::string_view("cc1")  ? "compiler proper"
                       : part == std::string_view("as") ? "assembler"
                                                        : "linker";
    list.emplace_back(name, std::string(trimmed(where.output)));
  }
  for (auto& [name, program] : list) program = digest_of_program(program, build);
  return list;
}

json resource(const std::string& name, const std::string& sha256) {
  return {{"name", name}, {"digest", {{"sha256", sha256}}}};
}

// A source package by name and version, where the source is of one.
std::string source_name(const Base& base) {
  const std::string key = read_file_if_any(base.directory / "key.txt");
  return fmt::format("source {}", CacheKey::field(key, "source").value_or(""));
}

json dependencies(const Build& build, const Base& base) {
  json list = json::array();
  for (const PatchText& patch : build.patches)
    list.push_back(resource("patch " + patch.path.filename().string(), sha256_of(patch.text)));
  list.push_back(resource(source_name(base), digest_of_source(base.source)));
  list.push_back(resource("config", sha256_of(read_file(base.config))));
  list.push_back(resource("vmlinux", sha256_of(read_file(base.vmlinux))));
  list.push_back(resource("Module.symvers", sha256_of(read_file(base.symvers))));
  if (!base.modules.empty() && !base.built_here) list.push_back(resource("modules", digest_of_folder(base.modules)));
  for (const auto& [name, digest] : programs(base, build)) list.push_back(resource(name, digest));
  return list;
}

json given_files(const Options& o) {
  json given = json::array();
  const auto add = [&](const fs::path& path, const char* option) {
    if (!path.empty()) given.push_back(option);
  };
  add(o.source, "--sourcedir");
  add(o.config, "--config");
  add(o.vmlinux, "--vmlinux");
  add(o.source_package, "--sourcerpm");
  add(o.modules, "--modules");
  add(o.symvers, "--symvers");
  add(o.packages, "--packages");
  add(o.toolchain, "--toolchain");
  if (!o.sandbox) given.push_back("--no-sandbox");
  return given;
}

json arguments(const Options& o) {
  json list = json::array();
  const std::string summary = options_summary(o);
  for (const std::string_view word : words_of(summary)) list.push_back(word);
  for (const std::string& fix : o.fixes) list.push_back("--fixes=" + fix);
  return list;
}

}  // namespace

std::string provenance(const Build& build, const Base& base, const fs::path& module) {
  json patches = json::array();
  for (const PatchText& patch : build.patches) {
    patches.push_back(resource(patch.path.filename().string(), sha256_of(patch.text)));
    patches.back()["content"] = base64_of(patch.text);
  }
  const json parameters = {{"release", base.release},
                           {"name", build.module},
                           {"arguments", arguments(build.options)},
                           {"given", given_files(build.options)},
                           {"patches", patches}};
  const json statement = {
      {"_type", statement_type},
      {"subject", json::array({resource(build.module + ".ko", sha256_of(read_file(module)))})},
      {"predicateType", predicate_type},
      {"predicate",
       {{"buildDefinition",
         {{"buildType", build_type},
          {"externalParameters", parameters},
          {"resolvedDependencies", dependencies(build, base)}}},
        {"runDetails", {{"builder", {{"id", "urn:kpatch-build"}, {"version", {{"kpatch-build", KPATCH_VERSION}}}}}}}}}};
  return statement.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Provenance read_provenance(std::string_view text) {
  Provenance p;
  try {
    const json statement = json::parse(text);
    const json& definition = statement.at("predicate").at("buildDefinition");
    if (statement.at("_type") != statement_type || definition.at("buildType") != build_type)
      throw Error("no statement of kpatch-build's");
    p.file = statement.at("subject").at(0).at("name").get<std::string>();
    p.sha256 = statement.at("subject").at(0).at("digest").at("sha256").get<std::string>();
    p.version =
        statement.at("predicate").at("runDetails").at("builder").at("version").at("kpatch-build").get<std::string>();
    const json& parameters = definition.at("externalParameters");
    p.release = parameters.at("release").get<std::string>();
    p.name = parameters.at("name").get<std::string>();
    p.arguments = parameters.at("arguments").get<std::vector<std::string>>();
    p.given = parameters.at("given").get<std::vector<std::string>>();
    for (const json& patch : parameters.at("patches")) {
      const auto content = bytes_of_base64(patch.at("content").get<std::string>());
      p.patches.push_back({patch.at("name").get<std::string>(), content.value_or("")});
      if (!content || sha256_of(*content) != patch.at("digest").at("sha256").get<std::string>())
        throw Error(fmt::format("the patch {} in it isn't of its digest", p.patches.back().name));
    }
    for (const json& input : definition.at("resolvedDependencies"))
      p.inputs.emplace_back(input.at("name").get<std::string>(), input.at("digest").at("sha256").get<std::string>());
  } catch (const json::exception&) {
    throw Error("no statement of kpatch-build's, or damaged");
  }
  return p;
}

}  // namespace kpatch
