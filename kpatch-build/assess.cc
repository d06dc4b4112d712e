// A release engineer with a fix and twenty kernels wants to know where it is needed, and where it can't be had, before a
// night of builds:
//
//     RELEASE                           PATCH          OBJECTS  SECONDS
//     6.12.117+deb12-cloud-amd64        already there        0      0.3
//     6.1.0-56-cloud-amd64              refused              1      2.1
//     fs/proc/meminfo.c:31: error: limit: is initialised to another value [data-init]
//
// The stages of a build are asked, in their order, until one knows: whether it applies, forwards or backwards; what each
// touched file is (file-role.cc), who reads it (affected.cc, other-readers.cc). None of that compiles. Where no more than a
// few objects are left they are compiled and compared, which takes seconds and leaves nothing open but the proof and the
// module; where there are more, the types that seem to change are named.
#include "kpatch-build/assess.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "kbuild/kbuild.h"
#include "kpatch-build/early-look.h"
#include "kpatch-build/way-out.h"
#include "rules/rules.h"
#include "support/error.h"
#include "support/files.h"
#include "support/signals.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_objects = 8;

bool is_refusal(const Finding& finding) { return finding.severity >= Severity::refusal; }

void add(Assessment& to, std::vector<Finding> findings) {
  to.findings.insert(to.findings.end(), std::make_move_iterator(findings.begin()),
                     std::make_move_iterator(findings.end()));
}

bool applies_backwards(const Build& build, const Base& base) {
  std::vector<PatchText> back;
  for (auto patch = build.patches.rbegin(); patch != build.patches.rend(); ++patch) back.push_back(reversed(*patch));
  try {
    apply_patches(back, base.source, build.scratch / "backwards", build.options.ignore_whitespace);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// What ends without objects: not built, without influence, or refused.
PatchVerdict without_objects(const Assessment& a) {
  const auto refused = std::ranges::count_if(a.findings, is_refusal);
  const auto not_built =
      std::ranges::count_if(a.findings, [](const Finding& f) { return is_refusal(f) && f.rule == "not-built"; });
  return refused == 0           ? PatchVerdict::no_change
         : refused == not_built ? PatchVerdict::not_built
                                : PatchVerdict::refused;
}

void name_types(Assessment& a, const Base& base, const AppliedPatches& patches) {
  for (const std::string& file : patches.modified)
    for (const std::string& type :
         types_that_change(read_file_if_any(base.source / file), read_file_if_any(patches.directory / file)))
      a.findings.push_back({"data-layout",
                            Severity::warning,
                            {.source = file, .function = type},
                            "its definition changes: if its layout does, that is refused",
                            "build it to know"});
}

// The texts that the ways out are made of, as they grow.
void write_ways_out(Assessment& a, const Build& build, const Base& base, const AppliedPatches& patches) {
  if (build.options.way_out.empty()) return;
  std::map<std::string, std::string> texts;
  for (const Finding& finding : a.findings) {
    if (finding.severity == Severity::notice) continue;
    for (const std::string& file : patches.modified) {
      const auto [entry, fresh] = texts.try_emplace(file);
      if (fresh) entry->second = without_line_marks(read_file(patches.directory / file));
      if (auto text = way_out(finding, read_file(base.source / file), entry->second)) entry->second = std::move(*text);
    }
  }
  for (const auto& [file, text] : texts) {
    const std::string patched = without_line_marks(read_file(patches.directory / file));
    if (text == patched) continue;
    const fs::path before = build.scratch / "way-out" / "a" / file, after = build.scratch / "way-out" / "b" / file;
    for (const auto& [path, contents] : {std::pair(&before, &patched), std::pair(&after, &text)}) {
      fs::create_directories(path->parent_path());
      write_file(*path, *contents, Flush::no);
    }
    const CommandResult diff = build.executor.run(
        {.argv = {"diff", "-u", "--label", "a/" + file, "--label", "b/" + file, before.string(), after.string()},
         .directory = {},
         .environment = {},
         .ours = true});
    if (diff.status != 1) build.executor.fail("diff failed", diff);
    std::string name = fmt::format("{}-{}.patch", build.module, file);
    std::ranges::replace(name, '/', '-');
    fs::create_directories(build.options.way_out);
    write_file(build.options.way_out / name, diff.output);
    a.ways_out.push_back(name);
  }
}

// What the differ says of the objects.
void look_closer(Assessment& a, const Build& build, const Base& base, const AppliedPatches& patches,
                 PatchedView& view) {
  a.compiled = true;
  Result<std::vector<ObjectPair>> pairs = compile(build, base, patches, view);
  std::erase_if(pairs.findings, [&](const Finding& f) { return std::ranges::find(a.findings, f) != a.findings.end(); });
  add(a, std::move(pairs.findings));
  if (!pairs.value) {
    a.verdict = without_objects(a);
    return;
  }
  const std::vector<PairReport> reports = compare(build, base, view, *pairs.value);
  for (const PairReport& report : reports) add(a, report.findings);
  const bool refused = std::ranges::any_of(a.findings, is_refusal);
  a.verdict = refused                 ? PatchVerdict::refused
              : choose(reports).value ? PatchVerdict::patchable
                                      : PatchVerdict::no_change;
}

void look(Assessment& a, const Build& build) {
  try_patches(build);
  const Base base = std::move(prepare_base(build).value.value());
  a.release = base.release;
  std::optional<AppliedPatches> patches;
  try {
    patches = apply_patches(build.patches, base.source, build.scratch / "patched", build.options.ignore_whitespace);
  } catch (const Error& error) {
    a.verdict = applies_backwards(build, base) ? PatchVerdict::already_there : PatchVerdict::does_not_apply;
    if (a.verdict == PatchVerdict::does_not_apply) a.message = error.what();
    return;
  }
  a.offset = std::ranges::any_of(
      patches->warnings, [](const Finding& f) { return f.message.find(" was applied at line ") != std::string::npos; });
  add(a, patches->warnings);
  if (patches->touched().empty()) {
    a.verdict = PatchVerdict::no_change;
    return;
  }
  keep_line_numbers(*patches, base.source);
  PatchedView view(base.source, build.scratch / "view", *patches);
  Result<std::vector<AffectedObject>> affected =
      find_affected(base, *patches, view, build.options.targets, build.executor, build.scratch / "look");
  a.objects = affected.value ? affected.value->size() : 0;
  add(a, std::move(affected.findings));
  if (!affected.value) {
    a.verdict = without_objects(a);
  } else if (a.objects > most_objects) {
    a.verdict = PatchVerdict::likely;
    name_types(a, base, *patches);
  } else {
    look_closer(a, build, base, *patches, view);
  }
  write_ways_out(a, build, base, *patches);
}

}  // namespace

std::string_view name_of(PatchVerdict verdict) {
  switch (verdict) {
    case PatchVerdict::patchable:
      return "patchable";
    case PatchVerdict::likely:
      return "likely";
    case PatchVerdict::already_there:
      return "already there";
    case PatchVerdict::not_built:
      return "not built";
    case PatchVerdict::no_change:
      return "no change";
    case PatchVerdict::refused:
      return "refused";
    case PatchVerdict::does_not_apply:
      return "does not apply";
    case PatchVerdict::failed:
      return "failed";
  }
  return "";
}

Assessment assess(const Build& build) {
  Assessment a;
  a.release = build.options.archversion;
  const auto begin = std::chrono::steady_clock::now();
  try {
    look(a, build);
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    a.verdict = PatchVerdict::failed;
    a.message = error.what();
  }
  add_advice(a.findings);
  a.findings = sorted(std::move(a.findings));
  a.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return a;
}

int exit_code_of(const std::vector<Assessment>& all) {
  const auto any = [&](std::initializer_list<PatchVerdict> verdicts) {
    return std::ranges::any_of(
        all, [&](const Assessment& a) { return std::ranges::find(verdicts, a.verdict) != verdicts.end(); });
  };
  if (any({PatchVerdict::failed, PatchVerdict::does_not_apply})) return exit_error;
  if (any({PatchVerdict::refused})) return exit_unpatchable;
  return any({PatchVerdict::patchable, PatchVerdict::likely}) ? exit_ok : exit_no_change;
}

std::string table_of(const std::vector<Assessment>& all) {
  std::string text = fmt::format("{:<40} {:<26} {:>7} {:>8}", "RELEASE", "PATCH", "OBJECTS", "SECONDS");
  for (const Assessment& a : all) {
    const std::string verdict = fmt::format("{}{}", name_of(a.verdict), a.offset ? ", with an offset" : "");
    text += fmt::format("\n{:<40} {:<26} {:>7} {:>8.1f}", a.release.empty() ? "-" : a.release, verdict, a.objects,
                        a.seconds);
    if (!a.message.empty()) text += "\n" + a.message;
    for (const Finding& finding : a.findings)
      if (finding.severity != Severity::notice) text += "\n" + text_of(finding);
    for (const std::string& file : a.ways_out) text += fmt::format("\n>>> a way out, to be edited: {}", file);
  }
  return text;
}

nlohmann::json to_json(const std::vector<Assessment>& all) {
  nlohmann::json releases = nlohmann::json::array();
  for (const Assessment& a : all) {
    nlohmann::json findings = nlohmann::json::array();
    for (const Finding& finding : a.findings) findings.push_back(to_json(finding));
    std::string verdict(name_of(a.verdict));
    std::ranges::replace(verdict, ' ', '-');
    releases.push_back({{"release", a.release},
                        {"verdict", verdict},
                        {"offset", a.offset},
                        {"compiled", a.compiled},
                        {"objects", a.objects},
                        {"seconds", a.seconds},
                        {"message", a.message},
                        {"findings", std::move(findings)},
                        {"ways_out", a.ways_out}});
  }
  return {{"version", 1}, {"exit", exit_code_of(all)}, {"releases", std::move(releases)}};
}

bool may_be_commit(const fs::path& patch) {
  const std::string name = patch.string();
  std::error_code ignored;
  if (fs::exists(patch, ignored) || name == "-" || name.starts_with('-') || name.ends_with(".patch") ||
      name.ends_with(".diff"))
    return false;
  return std::ranges::all_of(
      name, [](char c) { return continues_word(c) || std::string_view("./~^-").find(c) != std::string_view::npos; });
}

PatchText patch_of_commit(const std::string& commit) {
  Executor executor("/dev/null");
  const CommandResult result = executor.run({.argv = {"git", "show", "--no-color", "--no-ext-diff", "--no-textconv",
                                                      "--first-parent", "--format=email", commit, "--"},
                                             .directory = {},
                                             .environment = {},
                                             .ours = true});
  if (!result.ok()) throw Error(fmt::format("{}: neither a patch nor a commit of a git repository here", commit));
  return {commit, result.output};
}

}  // namespace kpatch
