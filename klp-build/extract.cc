// From a codestream's patches to its livepatch's sources, and from those to the module
//
//     ccp/CODESTREAM/work_FILE/     patched_funcs, exts: what came of one file
//     ccp/CODESTREAM/lp/            livepatch_NAME.c        one source: it, with the table of what is replaced;
//                                                           several: the table alone, and NAME_path.c for each
//                                   livepatch_NAME.syms     what the names are that stay the kernel's (klpmake's format)
//                                   patched_funcs.csv       object, function, replacement
//                                   Kbuild.inc
//     ccp/CODESTREAM/ARCH/rpm/      livepatch_NAME.ko
#include <fmt/core.h>

#include <algorithm>

#include "from-source/from-source.h"
#include "klp-build/codestream-job.h"
#include "kpatch-build/kpatch-build.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;

string with_underscores(string path) {
  std::ranges::replace_if(
      path, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return path;
}

// What a source is called in lp/, without ".c".
string stem_of(const Job& job, const PatchedFile& file) {
  if (job.codestream.files.size() == 1) return job.module;
  return with_underscores(job.name + "_" + file.path.substr(0, file.path.rfind('.')));
}

class Extractor {
 public:
  Extractor(Workshop& workshop, const Job& job, JobResult& result)
      : workshop_(workshop),
        job_(job),
        result_(result),
        ccp_(job.project / "ccp" / job.codestream.is.name),
        copy_(job.avoid_ext.begin(), job.avoid_ext.end()),
        bindings_(taken(job)) {}

  void run() {
    patches_ = applied();
    for (const auto& entry : entries_if_any(ccp_))
      if (entry.is_directory()) remove_tree(entry.path());
    fs::create_directories(ccp_ / "lp");
    for (PatchedFile& file : result_.codestream.files) extract(file);
    if (!result_.errors.empty()) return remove_tree(ccp_ / "lp");
    write_together();
  }

 private:
  static std::set<string> taken(const Job& job) {
    std::set<string> names;
    for (const PatchedFile& file : job.codestream.files) names.insert(file.symbols.begin(), file.symbols.end());
    return names;
  }

  AppliedPatches applied() {
    std::vector<PatchText> texts;
    for (const string& file : job_.codestream.required_patches) texts.push_back(read_patch(job_.project / file));
    if (texts.empty()) return {};
    AppliedPatches patches = apply_patches(texts, workshop_.base().source, workshop_.scratch() / "patched", false);
    for (const Finding& finding : patches.warnings) result_.warnings.push_back(text_of(finding));
    for (const string& path : patches.touched()) {
      const bool known =
          std::ranges::any_of(job_.codestream.files, [&](const PatchedFile& f) { return f.path == path; });
      if (fs::path(path).extension() != ".c")
        throw Error(fmt::format("{}: only changes of .c files can be taken; kpatch-build takes all", path));
      if (!known) throw Error(fmt::format("{}: is changed by the fix, and no --file-funcs names it", path));
    }
    keep_line_numbers(patches, workshop_.base().source);
    return patches;
  }

  void extract(PatchedFile& file) {
    const CompileCommand command = workshop_.command_of(file.path, file.module);
    const SourcePair pair = read_pair(workshop_, command, patches_);
    const string stem = stem_of(job_, file);
    const std::vector<LivepatchSymbol> before = bindings_.symbols();
    LivepatchSource source = make_source(workshop_, pair, file.symbols, stem, bindings_, copy_);
    for (const Finding& finding : sorted(source.findings)) {
      const bool ends = finding.severity == Severity::refusal || finding.severity == Severity::error;
      if (ends || finding.severity == Severity::warning)
        (ends ? result_.errors : result_.warnings).push_back(text_of(finding));
    }
    string list;
    file.klpp_symbols.clear();
    file.ext_symbols.clear();
    std::vector<TableRow> rows;
    for (const ReplacedFunction& function : source.replaced) {
      rows.push_back({pair.owner, function.name, replacement_name(stem, function.name), function.position});
      file.klpp_symbols.push_back(function.name);
      list += function.name + "\n";
    }
    for (const LivepatchSymbol& symbol : bindings_.symbols())
      if (std::ranges::none_of(before, [&](const LivepatchSymbol& b) { return b.placeholder == symbol.placeholder; }))
        file.ext_symbols[symbol.owner].push_back(symbol.name);
    const fs::path work = ccp_ / ("work_" + with_underscores(file.path));
    fs::create_directories(work);
    write_file(work / "patched_funcs", list, Flush::no);
    string exts;
    for (const auto& [owner, names] : file.ext_symbols)
      for (const string& name : names) exts += fmt::format("{} {}\n", name, owner);
    write_file(work / "exts", exts, Flush::no);
    if (source.text.empty()) return;
    if (job_.codestream.files.size() == 1) source.text += "\n" + patch_table(rows, false);
    write_file(ccp_ / "lp" / (stem + ".c"), source.text, Flush::no);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }

  void write_together() {
    const fs::path lp = ccp_ / "lp";
    string csv, kbuild;
    for (const TableRow& row : rows_)
      csv += fmt::format("{} {}{} {}\n", row.owner, row.name,
                         row.position == 0 ? string() : fmt::format(",{}", row.position), row.replacement);
    for (const PatchedFile& file : job_.codestream.files)
      kbuild += fmt::format("CFLAGS_{}.o += -Werror\n", stem_of(job_, file));
    write_file(lp / "patched_funcs.csv", csv, Flush::no);
    write_file(lp / "Kbuild.inc", kbuild, Flush::no);
    write_file(lp / (job_.module + ".syms"), format_syms(bindings_.symbols()), Flush::no);
    if (job_.codestream.files.size() > 1)
      write_file(lp / (job_.module + ".c"), "// SPDX-License-Identifier: GPL-2.0\n" + patch_table(rows_, true),
                 Flush::no);
  }

  Workshop& workshop_;
  const Job& job_;
  JobResult& result_;
  fs::path ccp_;
  std::set<string> copy_;
  Bindings bindings_;
  AppliedPatches patches_;
  std::vector<TableRow> rows_;
};

}  // namespace

void extract_codestream(Workshop& workshop, const Job& job, JobResult& result) {
  Extractor(workshop, job, result).run();
}

void build_codestream(Workshop& workshop, const Job& job) {
  const fs::path ccp = job.project / "ccp" / job.codestream.is.name, lp = ccp / "lp";
  const fs::path built = ccp / job.codestream.is.arch() / "rpm";
  remove_tree(built);
  ModulePlan plan;
  plan.name = job.module;
  plan.symbols_file = job.module + ".syms";
  plan.info = {{"klp_build_project", job.name}, {"klp_build_codestream", job.codestream.is.name}};
  for (const PatchedFile& file : job.codestream.files) {
    const CompileCommand command = workshop.command_of(file.path, file.module);
    if (plan.parts.empty() && job.codestream.files.size() > 1)
      plan.parts.push_back({lp / (job.module + ".c"), command, "vmlinux", true});
    plan.parts.push_back({lp / (stem_of(job, file) + ".c"), command, owner_of(command), false});
  }
  for (const ModulePart& part : plan.parts)
    if (!fs::exists(part.file))
      throw Error(fmt::format("{} is missing: klp-build extract writes it", part.file.string()));
  plan.symbols = parse_syms(read_file(lp / plan.symbols_file), plan.symbols_file);
  require_free_name(workshop.base(), plan.name);
  const fs::path module = build_livepatch(workshop, plan);
  fs::create_directories(built);
  write_file(built / (job.module + ".ko"), read_file(module));
}

}  // namespace kpatch
