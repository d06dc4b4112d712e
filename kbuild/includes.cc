// From a changed header to the units that read it
//
// A patch of include/linux/mm.h may change any of 3,000 objects. Which ones read it is known for sure to the compiler
// alone, at half a second a unit; DWARF knows too few (it does not list headers that hold only macros). So all
// configured units are scanned for #include lines, which takes a second for a whole kernel, with every doubt
// decided for "may include":
//
//  - conditions are not evaluated: an #include within #if 0 counts;
//  - "x.h" is searched beside its includer first, as the compiler does; if it isn't there, and for <x.h>, every
//    folder that some unit names with -I counts, not just those of the unit at hand. Thereby what a header includes
//    does not depend on who includes it, and each file is read once;
//  - #include MACRO stands for whatever any file defines that macro to;
//  - tracepoint headers are read a second time through <trace/define_trace.h>, by a name made of TRACE_INCLUDE_PATH and
//    TRACE_INCLUDE_FILE, so a file that defines these includes that name;
//  - an include that remains unknown is taken to read everything.
//
// The graph of files is then walked backwards from the touched ones. Who is found in vain costs one preprocessor run.
#include "kbuild/includes.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "support/files.h"
#include "support/signals.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

void skip_blanks(string_view& s) {
  while (!s.empty() && is_blank(s.front())) s.remove_prefix(1);
}

string_view take_word(string_view& s) {
  size_t end = 0;
  while (end < s.size() && is_word(s[end])) ++end;
  const string_view word = s.substr(0, end);
  s.remove_prefix(end);
  return word;
}

std::optional<IncludeDirectives::Named> named_file(string_view s) {
  if (s.empty() || (s.front() != '"' && s.front() != '<')) return std::nullopt;
  const size_t end = s.find(s.front() == '"' ? '"' : '>', 1);
  if (end == string_view::npos) return std::nullopt;
  return IncludeDirectives::Named{std::string(s.substr(1, end - 1)), s.front() == '"'};
}

void read_include(string_view rest, IncludeDirectives& into) {
  skip_blanks(rest);
  if (auto name = named_file(rest)) {
    into.named.push_back(std::move(*name));
    return;
  }
  const string_view macro = take_word(rest);
  skip_blanks(rest);
  if (macro == "TRACE_INCLUDE") return;  // decided where TRACE_INCLUDE_FILE is defined
  if (macro.empty() || rest.starts_with('(')) {
    into.opaque = true;
  } else {
    into.computed.emplace_back(macro);
  }
}

void read_define(string_view rest, IncludeDirectives& into, std::string& trace_system) {
  skip_blanks(rest);
  const string_view macro = take_word(rest);
  if (rest.starts_with('(')) return;
  skip_blanks(rest);
  if (auto name = named_file(rest)) into.include_macros.emplace_back(macro, std::move(*name));
  const string_view value = rest.substr(0, rest.find_first_of(" \t\r"));
  if (macro == "TRACE_INCLUDE_FILE") into.trace_file = value;
  if (macro == "TRACE_INCLUDE_PATH") into.trace_path = value;
  if (macro == "TRACE_SYSTEM") trace_system = value;
}

// ".." and "." folded away without asking the disk: folders of the kernel are no symlinks.
std::string normal(const fs::path& path) { return path.lexically_normal().string(); }

}  // namespace

class IncludeGraph::Graph {
 public:
  Graph(const fs::path& source, const fs::path& kbuild) : source_(source), kbuild_(kbuild) {}

  void add_units(std::span<const CompileCommand> units) {
    std::unordered_set<std::string> folders;
    for (const CompileCommand& unit : units) {
      roots_.emplace_back();
      roots_.back().push_back(node(normal(source_ / unit.source)));
      roots_.back().push_back(node(normal(kbuild_ / unit.source)));  // generated .c files
      read_arguments(unit, folders, roots_.back());
    }
    for (const std::string& folder : folders) add_folder(folder);
  }

  void add_asked(std::span<const std::string> asked) {
    for (const std::string& path : asked) {
      nodes_[node(normal(source_ / path))].present = true;
      // The folder may be new too, then no -I folder lists it yet.
      asked_names_.insert(fs::path(path).filename().string());
    }
  }

  void read_all() {
    for (size_t id = 0; id < nodes_.size(); ++id) {  // grows while files are read
      if (id % 256 == 0) check_interrupted();
      read(static_cast<uint32_t>(id));
    }
    resolve_computed();
    std::vector<uint32_t> opaque;
    for (uint32_t id = 0; id < nodes_.size(); ++id)
      if (nodes_[id].opaque) opaque.push_back(id);
    behind_opaque_ = walk_back(std::move(opaque));
    for (const auto& roots : roots_) unit_files_.insert(roots.begin(), roots.end());
  }

  std::vector<size_t> affected_units(std::span<const std::string> touched) const {
    std::unordered_set<uint32_t> reaching = behind_opaque_;
    for (const std::string& path : touched) reaching.merge(walk_back({id_of(path)}));
    std::vector<size_t> units;
    for (size_t unit = 0; unit < roots_.size(); ++unit) {
      const auto& roots = roots_[unit];
      if (std::any_of(roots.begin(), roots.end(), [&](uint32_t id) { return reaching.contains(id); }))
        units.push_back(unit);
    }
    return units;
  }

  // Walks back from the touched files level by level, so that the first way that reaches a file is a shortest one. Of
  // several the one whose files come first by name.
  std::vector<std::vector<std::string>> chains(std::span<const size_t> units,
                                               std::span<const std::string> touched) const {
    constexpr uint32_t nothing = UINT32_MAX;
    std::unordered_map<uint32_t, std::pair<size_t, uint32_t>> ways;  // length, next file
    std::vector<uint32_t> level;
    for (const std::string& path : touched)
      if (const uint32_t id = id_of(path); ways.try_emplace(id, 0, nothing).second) level.push_back(id);
    for (size_t length = 1; !level.empty(); ++length) {
      std::sort(level.begin(), level.end(), [&](uint32_t a, uint32_t b) { return nodes_[a].path < nodes_[b].path; });
      std::vector<uint32_t> next;
      for (const uint32_t id : level)
        for (const uint32_t includer : nodes_[id].includers)
          if (ways.try_emplace(includer, length, id).second) next.push_back(includer);
      level = std::move(next);
    }
    std::vector<std::vector<std::string>> result;
    for (const size_t unit : units) {
      uint32_t start = nothing;
      for (const uint32_t root : roots_[unit])
        if (ways.contains(root) && (start == nothing || ways.at(root).first < ways.at(start).first)) start = root;
      result.emplace_back();
      // A file of the command line (-include) is read by the unit as well.
      if (start != nothing && start != roots_[unit].front()) result.back().push_back(shown(roots_[unit].front()));
      for (uint32_t id = start; id != nothing; id = ways.at(id).second) result.back().push_back(shown(id));
    }
    return result;
  }

  bool is_included(const std::string& path) const {
    const std::unordered_set<uint32_t> reaching = walk_back({id_of(path)});
    return std::any_of(reaching.begin(), reaching.end(),
                       [&](uint32_t id) { return unit_files_.contains(id) && !behind_opaque_.contains(id); });
  }

  std::vector<std::string> headers() const {
    std::unordered_set<uint32_t> own;
    for (const auto& roots : roots_) own.insert(roots.begin(), roots.begin() + own_roots);
    std::vector<std::string> paths;
    for (uint32_t id = 0; id < nodes_.size(); ++id)
      if (!own.contains(id) || !nodes_[id].includers.empty()) paths.push_back(nodes_[id].path);
    return paths;
  }

  std::vector<std::string> own_files(size_t unit) const {
    std::vector<std::string> paths;
    for (size_t i = 0; i < own_roots; ++i) paths.push_back(nodes_[roots_[unit][i]].path);
    return paths;
  }

 private:
  static constexpr ptrdiff_t own_roots = 2;  // a unit's source, in the source and in the kbuild folder, come first

  struct Node {
    std::string path;
    std::vector<uint32_t> includers;
    bool present = false;  // added by the patch: counts as existing
    bool opaque = false;
  };

  uint32_t node(std::string path) {
    const auto [it, fresh] = ids_.try_emplace(std::move(path), static_cast<uint32_t>(nodes_.size()));
    if (fresh) {
      nodes_.emplace_back();
      nodes_.back().path = it->first;
    }
    return it->second;
  }

  bool exists(const std::string& path) {
    const auto known = ids_.find(path);
    if (known != ids_.end() && nodes_[known->second].present) return true;
    const auto [it, fresh] = exists_.try_emplace(path, false);
    if (fresh) it->second = ::access(path.c_str(), F_OK) == 0;
    return it->second;
  }

  void read_arguments(const CompileCommand& unit, std::unordered_set<std::string>& folders,
                      std::vector<uint32_t>& roots) {
    for (size_t i = 0; i < unit.arguments.size(); ++i) {
      const string_view argument = unit.arguments[i];
      const auto value = [&](string_view option) -> std::optional<std::string> {
        if (!argument.starts_with(option)) return std::nullopt;
        if (argument.size() > option.size()) return std::string(argument.substr(option.size()));
        return i + 1 < unit.arguments.size() ? std::optional(unit.arguments[i + 1]) : std::nullopt;
      };
      if (argument == "-include" || argument == "-imacros") {
        if (i + 1 < unit.arguments.size()) roots.push_back(node(normal(kbuild_ / unit.arguments[i + 1])));
        continue;
      }
      for (const string_view option : {"-I", "-iquote", "-isystem", "-idirafter"}) {
        if (const auto folder = value(option)) folders.insert(normal(kbuild_ / *folder));
      }
    }
  }

  // By the first part of an include's name: which folders have such an entry.
  void add_folder(const std::string& folder) {
    for (const fs::directory_entry& entry : entries_if_any(folder)) {
      folders_by_entry_[entry.path().filename().string()].push_back(folder);
    }
    all_folders_.push_back(folder);
  }

  std::vector<uint32_t> candidates(const IncludeDirectives::Named& include, const fs::path& includer_folder) {
    std::vector<uint32_t> found;
    if (include.quoted) {
      std::string beside = normal(includer_folder / include.name);
      if (exists(beside)) return {node(std::move(beside))};
    }
    const fs::path name(include.name);
    const std::string first = name.empty() ? std::string() : name.begin()->string();
    const bool anywhere = first == ".." || first == "." || asked_names_.contains(name.filename().string());
    const auto known = folders_by_entry_.find(first);
    static const std::vector<std::string> none;
    const std::vector<std::string>& folders = anywhere                           ? all_folders_
                                              : known == folders_by_entry_.end() ? none
                                                                                 : known->second;
    for (const std::string& folder : folders) {
      std::string path = normal(fs::path(folder) / name);
      if (exists(path)) found.push_back(node(std::move(path)));
    }
    return found;
  }

  // The same name in the same kind of include leads to the same files, but for the includer's own folder.
  void link(uint32_t includer, const IncludeDirectives::Named& include, const fs::path& folder) {
    if (!include.quoted) {
      auto it = by_name_.find(include.name);
      if (it == by_name_.end()) it = by_name_.emplace(include.name, candidates(include, folder)).first;
      for (const uint32_t id : it->second) nodes_[id].includers.push_back(includer);
      return;
    }
    for (const uint32_t id : candidates(include, folder)) nodes_[id].includers.push_back(includer);
  }

  void read(uint32_t id) {
    const std::string path = nodes_[id].path;
    const IncludeDirectives directives = scan_includes(read_file_if_any(path));
    const fs::path folder = fs::path(path).parent_path();
    nodes_[id].opaque = directives.opaque;
    for (const auto& include : directives.named) link(id, include, folder);
    for (const std::string& macro : directives.computed) computed_.emplace_back(id, macro);
    for (const auto& [macro, include] : directives.include_macros) macros_[macro].push_back(include);
    if (!directives.trace_file.empty()) {
      const std::string file = directives.trace_file + ".h";
      link(id, {file, true}, folder);
      link(id, {"trace/events/" + file, false}, folder);
      if (!directives.trace_path.empty()) {
        link(id, {directives.trace_path + "/" + file, true}, source_ / "include" / "trace");
      }
    }
  }

  void resolve_computed() {
    for (size_t i = 0; i < computed_.size(); ++i) {
      const auto [id, macro] = computed_[i];
      const auto known = macros_.find(macro);
      if (known == macros_.end()) {
        // An option that the config leaves unset: autoconf.h, which every unit reads, doesn't define it.
        nodes_[id].opaque |= !macro.starts_with("CONFIG_");
        continue;
      }
      const size_t before = nodes_.size();
      const fs::path folder = fs::path(nodes_[id].path).parent_path();
      const std::vector<IncludeDirectives::Named> includes = known->second;
      for (const auto& include : includes) link(id, include, folder);
      for (size_t fresh = before; fresh < nodes_.size(); ++fresh) read(static_cast<uint32_t>(fresh));
    }
  }

  // Without the tree that it lies in.
  std::string shown(uint32_t id) const {
    std::string path = nodes_[id].path;
    for (const fs::path& root : {source_, kbuild_}) {
      const std::string prefix = normal(root) + "/";
      if (path.starts_with(prefix)) return path.substr(prefix.size());
    }
    return path;
  }

  uint32_t id_of(const std::string& path) const { return ids_.at(normal(source_ / path)); }

  // All files that include one of `pending`, through any number of others, and these themselves.
  std::unordered_set<uint32_t> walk_back(std::vector<uint32_t> pending) const {
    std::unordered_set<uint32_t> reaching;
    while (!pending.empty()) {
      const uint32_t id = pending.back();
      pending.pop_back();
      if (!reaching.insert(id).second) continue;
      pending.insert(pending.end(), nodes_[id].includers.begin(), nodes_[id].includers.end());
    }
    return reaching;
  }

  fs::path source_;
  fs::path kbuild_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, uint32_t> ids_;
  std::unordered_map<std::string, bool> exists_;
  std::unordered_map<std::string, std::vector<std::string>> folders_by_entry_;
  std::vector<std::string> all_folders_;
  std::unordered_map<std::string, std::vector<uint32_t>> by_name_;
  std::vector<std::pair<uint32_t, std::string>> computed_;
  std::unordered_map<std::string, std::vector<IncludeDirectives::Named>> macros_;
  std::vector<std::vector<uint32_t>> roots_;    // one entry a unit
  std::unordered_set<uint32_t> unit_files_;     // all roots
  std::unordered_set<uint32_t> behind_opaque_;  // files that may include anything
  std::unordered_set<std::string> asked_names_;
};

IncludeDirectives scan_includes(string_view text) {
  IncludeDirectives result;
  std::string trace_system;
  while (!text.empty()) {  // not lines_of: thousands of headers, of whose lines one in ten is a directive
    const size_t end = text.find('\n');
    string_view line = text.substr(0, end);
    text.remove_prefix(end == string_view::npos ? text.size() : end + 1);
    skip_blanks(line);
    if (!line.starts_with('#')) continue;
    line.remove_prefix(1);
    skip_blanks(line);
    const string_view directive = take_word(line);
    if (directive == "include" || directive == "include_next" || directive == "import") {
      read_include(line, result);
    } else if (directive == "define") {
      read_define(line, result, trace_system);
    }
  }
  if (result.trace_file.empty()) result.trace_file = trace_system;
  return result;
}

IncludeGraph::IncludeGraph(const fs::path& source, const fs::path& kbuild, std::span<const CompileCommand> units,
                           std::span<const std::string> asked)
    : graph_(std::make_unique<Graph>(source, kbuild)) {
  graph_->add_asked(asked);
  graph_->add_units(units);
  graph_->read_all();
}

IncludeGraph::~IncludeGraph() = default;

std::vector<size_t> IncludeGraph::units_that_may_include(std::span<const std::string> touched) const {
  return graph_->affected_units(touched);
}

std::vector<std::vector<std::string>> IncludeGraph::chains(std::span<const size_t> units,
                                                           std::span<const std::string> touched) const {
  return graph_->chains(units, touched);
}

std::vector<std::string> IncludeGraph::headers() const { return graph_->headers(); }

std::vector<std::string> IncludeGraph::own_files(size_t unit) const { return graph_->own_files(unit); }

bool IncludeGraph::is_included(const std::string& path) const { return graph_->is_included(path); }

std::vector<std::string> neighbours_that_include(const fs::path& source, const std::string& file) {
  const fs::path own_folder = fs::path(file).parent_path();
  std::vector<fs::path> folders;
  for (const fs::directory_entry& entry : entries_if_any(source / own_folder)) {
    if (!entry.is_symlink() && entry.is_directory()) folders.push_back(own_folder / entry.path().filename());
  }
  for (fs::path up = own_folder;; up = up.parent_path()) {
    folders.push_back(up);
    if (up.empty()) break;
  }
  const std::string name = fs::path(file).filename().string();
  std::vector<std::string> found;
  for (const fs::path& folder : folders) {
    check_interrupted();
    for (const fs::directory_entry& entry : entries_if_any(source / folder)) {
      const std::string path = (folder / entry.path().filename()).string();
      if (!path.ends_with(".c") || path == file) continue;
      const std::string text = read_file_if_any(entry.path());
      if (text.find(name + "\"") == std::string::npos && text.find(name + ">") == std::string::npos) continue;
      for (const IncludeDirectives::Named& include : scan_includes(text).named) {
        const bool here = normal(folder / include.name) == file;
        const bool somewhere = file.ends_with("/" + normal(include.name));
        if (here || somewhere) found.push_back(path);
      }
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace kpatch
