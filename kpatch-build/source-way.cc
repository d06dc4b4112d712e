// The differ has said what changes; here the same is cut out of the source
//
//     differ      vmlinux: show (changed), helper.isra.0 (changed)         diff objects
//     source      vmlinux: show, store (holds a copy of helper)            show.c, tables
//
// The differ's judgement holds for both ways: it alone sees what a change does to data, exports and lists. What it calls
// changed is asked of the extractor, besides what the texts say, and whatever only one of them replaces is told.
#include "kpatch-build/source-way.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "from-source/from-source.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

bool is_clone(string_view name) { return name.find('.') != string_view::npos; }

bool contains(const std::vector<ReportedFunction>& functions, string_view name) {
  return std::ranges::any_of(functions, [&](const ReportedFunction& f) { return f.name == name; });
}

class SourceTaker {
 public:
  SourceTaker(const Build& build, const Base& base, PatchedView& view, const std::vector<PairReport>& reports)
      : base_(base),
        view_(view),
        reports_(reports),
        folder_(build.scratch / "source"),
        workshop_(base, build.cache, build.executor, build.console, work_folder()),
        bindings_(defined(false), defined(true)) {
    if (fs::exists(build.scratch / key_header_folder)) workshop_.use_key_headers(build.scratch / key_header_folder);
    plan_.name = build.module;
    plan_.symbols_file = "the symbols that are bound";
  }

  Result<SourceWay> run() {
    for (const PairReport& report : reports_) take(report);
    check_left_out();
    if (!refused()) link();
    Result<SourceWay> result;
    if (!refused()) result.value = std::move(way_);
    result.findings = std::move(findings_);
    return result;
  }

 private:
  fs::path work_folder() const {
    fs::create_directories(folder_ / "work");
    fs::create_directories(folder_ / "livepatch");
    return folder_ / "work";
  }

  // Names that the livepatch has itself; shared: those that its objects have for each other.
  std::set<string> defined(bool shared) const {
    std::set<string> names;
    for (const PairReport& report : reports_) {
      const Binary patched = Binary::open(report.pair.patched);
      for (const std::vector<ReportedFunction>* list : {&report.changed, &report.added})
        for (const ReportedFunction& function : *list)
          for (const uint32_t index : patched.named(function.name))
            if (!shared || patched.symbols()[index].binding != SymbolBinding::local) names.insert(function.name);
      if (!shared) continue;
      names.insert(report.globals.begin(), report.globals.end());
    }
    return names;
  }

  bool refused() const {
    return std::ranges::any_of(findings_, [](const Finding& f) { return f.severity >= Severity::refusal; });
  }

  void refuse(const PairReport& report, string message) {
    findings_.push_back({"no-source",
                         Severity::refusal,
                         {.source = report.pair.command.source},
                         std::move(message),
                         "build without --from-source"});
  }

  string stem_of(const string& source) {
    const string own = fs::path(source).stem().string();
    string stem = own;
    for (int n = 2; !stems_.insert(stem).second; ++n) stem = fmt::format("{}-{}", own, n);
    return stem;
  }

  void take(const PairReport& report) {
    const CompileCommand& command = report.pair.command;
    if (fs::path(command.source).extension() != ".c") return refuse(report, "isn't C, which alone can be extracted");
    if (report.pair.original == "/dev/null")
      return refuse(report, "is new with the patch, and has no text to compare with");
    if (!report.callbacks.empty()) return refuse(report, "has callbacks, which aren't extracted");
    const SourcePair pair = read_pair(workshop_, command, view_);
    const UnitChanges changes = SourceUnit::changes(pair.original, pair.patched);
    std::set<string> wanted, by_text;
    for (const Subject& function : changes.functions) by_text.insert(function.name);
    for (const Subject& function : pair.patched.functions())
      if (contains(report.changed, function.name)) wanted.insert(function.name);
    const string stem = stem_of(command.source);
    LivepatchSource source = make_source(workshop_, pair, {wanted.begin(), wanted.end()}, stem, bindings_);
    for (Finding& finding : source.findings) {
      // Each is explained below.
      if (finding.rule == "climbs" || finding.rule == "not-listed") continue;
      findings_.push_back(std::move(finding));
    }
    if (source.text.empty()) return;
    for (const string& name : source.shared) shared_.emplace(name, &report);
    explain(report, source, by_text);
    note_file(report, source, stem, pair.owner);
  }

  // A function that is new in one file and used in another alone: extraction begins at what is replaced, in each file.
  void check_left_out() {
    for (const auto& [name, user] : shared_) {
      const bool there =
          std::ranges::any_of(
              way_.files,
              [&, n = string_view(name)](const auto& file) { return std::ranges::binary_search(file.copied, n); }) ||
          std::ranges::any_of(rows_, [&, n = string_view(name)](const TableRow& row) { return row.name == n; });
      if (!there)
        refuse(*user,
               fmt::format("uses {}, which is new in another file, and used by nothing that is replaced there", name));
    }
  }

  void note_file(const PairReport& report, LivepatchSource& source, const string& stem, const string& owner) {
    const fs::path file = folder_ / "livepatch" / (stem + ".c");
    write_file(file, source.text, Flush::no);
    plan_.parts.push_back({file, report.pair.command, owner, false});
    PairReport taken = report;
    std::erase_if(taken.changed, [&](const ReportedFunction& function) {
      return std::ranges::none_of(source.replaced, [&](const ReplacedFunction& f) { return f.name == function.name; });
    });
    for (const ReplacedFunction& function : source.replaced) {
      rows_.push_back({owner, function.name, replacement_name(stem, function.name), function.position});
      if (!contains(taken.changed, function.name)) taken.changed.push_back({function.name, reasons_[function.name]});
    }
    std::ranges::sort(taken.changed, {}, &ReportedFunction::name);
    way_.reports.push_back(std::move(taken));
    way_.files.push_back({stem + ".c", std::move(source.text), std::move(source.copied)});
  }

  void note(const string& file, const string& function, Severity severity, string message) {
    findings_.push_back({"ways", severity, {.source = file, .function = function}, std::move(message), {}});
  }

  // Every function that one of the ways replaces alone.
  void explain(const PairReport& report, const LivepatchSource& source, const std::set<string>& by_text) {
    const string& file = report.pair.command.source;
    reasons_.clear();
    std::set<string> replaced;
    for (const ReplacedFunction& function : source.replaced) replaced.insert(function.name);
    for (const string& name : replaced) {
      if (contains(report.changed, name)) continue;
      const auto above = source.climbed.find(name);
      if (above != source.climbed.end())
        reasons_[name] = fmt::format("holds code of {}, or calls it under another name", above->second);
      else if (by_text.contains(name))
        reasons_[name] = "its text changes, and the compiler makes the same code of it";
      note(file, name, Severity::notice, fmt::format("is replaced from source alone: {}", reasons_[name]));
    }
    for (const ReportedFunction& function : report.changed) {
      if (replaced.contains(function.name)) continue;
      const string in_c = function.name.substr(0, function.name.find('.'));
      const bool copied = std::ranges::binary_search(source.copied, in_c);
      if (is_clone(function.name) && (copied || replaced.contains(in_c)))
        note(file, function.name, Severity::notice,
             "is replaced by diff objects alone: C has no name for what the compiler made of a function, so that those "
             "that call it are replaced");
      else if (copied)
        note(file, function.name, Severity::notice,
             "is replaced by diff objects alone: from source it is copied to those that call it");
      else
        refuse(report, fmt::format("{} changes, and the source has nothing to replace it by", function.name));
    }
  }

  void link() {
    const fs::path table = folder_ / "livepatch/livepatch.c";
    write_file(table, patch_table(rows_, true), Flush::no);
    plan_.parts.push_back({table, plan_.parts.front().command, "vmlinux", true});
    plan_.symbols = bindings_.symbols();
    const std::vector<fs::path> objects = compile_livepatch(workshop_, plan_, folder_ / "livepatch");
    for (size_t i = 0; i < objects.size(); ++i) {
      if (i >= way_.reports.size()) {
        way_.further.push_back(objects[i]);
        continue;
      }
      check_keys(way_.reports[i], objects[i]);
      way_.reports[i].output = way_.reports[i].pair.patched = objects[i];
    }
  }

  // The kernel reads these tables before it knows where a patched module lies.
  void check_keys(const PairReport& report, const fs::path& object) {
    const Binary compiled = Binary::open(object);
    std::set<string> keys;
    for (uint32_t section = 0; section < compiled.sections().size(); ++section) {
      const string_view table = compiled.sections()[section].name;
      if (table != "__jump_table" && table != ".static_call_sites") continue;
      for (const BinaryRelocation& relocation : compiled.relocations(section))
        for (const LivepatchSymbol& symbol : plan_.symbols)
          if (symbol.owner != "vmlinux" && symbol.placeholder == compiled.symbols()[relocation.symbol].name)
            keys.insert(fmt::format("{} of {}", symbol.name, symbol.owner));
    }
    for (const string& key : keys)
      refuse(report,
             fmt::format("branches on {}, which a livepatch's tables can't name while the module may be away", key));
  }

  const Base& base_;
  PatchedView& view_;
  const std::vector<PairReport>& reports_;
  fs::path folder_;
  Workshop workshop_;
  Bindings bindings_;
  ModulePlan plan_;
  std::set<string> stems_{"livepatch", "symbols"};
  std::multimap<string, const PairReport*> shared_;  // names that a source leaves to the others
  std::map<string, string> reasons_;                 // of functions that only the source way replaces
  std::vector<TableRow> rows_;
  std::vector<Finding> findings_;
  SourceWay way_;
};

}  // namespace

void require_source_way() {}

Result<SourceWay> take_source(const Build& build, const Base& base, PatchedView& view,
                              const std::vector<PairReport>& reports) {
  Console::Stage stage(build.console, "source");
  Result<SourceWay> way = SourceTaker(build, base, view, reports).run();
  size_t functions = 0;
  if (way.value)
    for (const PairReport& report : way.value->reports) functions += report.changed.size();
  stage.note(fmt::format("{} function{} from source", functions, functions == 1 ? "" : "s"));
  return way;
}

}  // namespace kpatch
