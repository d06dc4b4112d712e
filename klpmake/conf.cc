// The two dialects of one format
//
//     # comment                      obj-m, since step 0 writes it
//     src-root /usr/src/linux        dev-root, in the hand-written form: headers of the kernel; its own build is asked instead
//     debug-root /usr/lib/debug
//     module-name vmlinux
//         src-name fs/proc/meminfo.c
//             func-name meminfo_proc_show
//             new-item show_more     in the hand-written form: what the patch adds; it is found without
//
// A line is a key, blanks, a value to its end; indentation says nothing. src-name belongs to the module-name before it,
// func-name and new-item to the src-name before them.
#include "klpmake/conf.h"

#include <fmt/core.h>

#include <algorithm>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string;
using std::string_view;

class Parser {
 public:
  explicit Parser(string file) : file_(std::move(file)) {}

  Conf run(string_view text) {
    for (const string_view line : lines_of(text)) {
      ++line_;
      const string_view content = trimmed(line);
      if (content.empty() || content.front() == '#') continue;
      const size_t end = std::min(content.find_first_of(white_space), content.size());
      take(content.substr(0, end), string(trimmed(content.substr(end))));
    }
    ++line_;
    if (conf_.sources.empty() && errors_.empty())
      wrong("names no source: module-name, src-name and func-name are missing");
    for (const ConfSource& source : conf_.sources) {
      line_ = source.line;
      if (source.functions.empty()) wrong(fmt::format("src-name {} has no func-name", source.path));
    }
    if (!errors_.empty()) throw Error(joined(errors_, "\n"));
    return std::move(conf_);
  }

 private:
  void wrong(string_view what) { errors_.push_back(fmt::format("{}:{}: {}", file_, line_, what)); }

  void once(string_view key, std::filesystem::path& field, const string& value) {
    if (!field.empty()) return wrong(fmt::format("{} is given twice", key));
    field = value;
  }

  void take(string_view key, const string& value) {
    if (value.empty()) return wrong(fmt::format("{} has no value", key));
    if (key == "obj-m") {
      if (!conf_.name.empty()) return wrong("obj-m is given twice");
      conf_.name = value;
    } else if (key == "src-root") {
      once(key, conf_.source, value);
    } else if (key == "dev-root") {
      once(key, conf_.headers, value);
    } else if (key == "debug-root") {
      once(key, conf_.debug, value);
    } else if (key == "module-name") {
      module_ = value;
      open_ = false;
    } else if (key == "src-name") {
      add_source(value);
    } else if (key == "func-name") {
      add_name(key, value, &ConfSource::functions);
    } else if (key == "new-item") {
      add_name(key, value, &ConfSource::new_items);
    } else {
      wrong(fmt::format("unknown key '{}'", key));
    }
  }

  void add_source(const string& value) {
    open_ = false;
    if (module_.empty()) return wrong(fmt::format("src-name {} stands before any module-name", value));
    const std::filesystem::path path(value);
    if (path.is_absolute() || path.lexically_normal() != path || path.begin()->string() == "..")
      return wrong(fmt::format("src-name {}: a path from the source's root is expected", value));
    if (path.extension() != ".c") return wrong(fmt::format("src-name {}: only .c files can be given", value));
    for (const ConfSource& other : conf_.sources)
      if (other.path == value && other.module == module_)
        return wrong(fmt::format("src-name {} is given twice", value));
    conf_.sources.push_back({module_, value, {}, {}, line_});
    open_ = true;
  }

  void add_name(string_view key, const string& value, std::vector<string> ConfSource::*names) {
    if (!open_) return wrong(fmt::format("{} {} stands before any src-name", key, value));
    const bool identifier =
        value.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == string::npos &&
        (value.front() < '0' || value.front() > '9');
    if (!identifier) return wrong(fmt::format("{} {}: this is no name in C", key, value));
    std::vector<string>& list = conf_.sources.back().*names;
    if (std::ranges::find(list, value) != list.end()) return wrong(fmt::format("{} {} is given twice", key, value));
    list.push_back(value);
  }

  string file_;
  Conf conf_;
  std::vector<string> errors_;
  string module_;
  bool open_ = false;  // a src-name came, and none that was wrong
  int line_ = 0;
};

}  // namespace

string Conf::stem_of(const ConfSource& source) const {
  const std::filesystem::path path(source.path);
  const string stem = path.stem().string();
  bool shared = stem == "livepatch";
  for (const ConfSource& other : sources)
    shared |= &other != &source && std::filesystem::path(other.path).stem() == stem &&
              (other.path != source.path || other.module != source.module);
  if (!shared) return stem;
  string whole = fmt::format("{}_{}", source.module, path.parent_path().string() + "_" + stem);
  std::ranges::replace(whole, '/', '_');
  return whole;
}

Conf parse_conf(string_view text, const string& file) { return Parser(file).run(text); }

string format_conf(const Conf& conf) {
  string text;
  if (!conf.name.empty()) text += fmt::format("obj-m {}\n", conf.name);
  if (!conf.source.empty()) text += fmt::format("src-root {}\n", conf.source.string());
  if (!conf.headers.empty()) text += fmt::format("dev-root {}\n", conf.headers.string());
  if (!conf.debug.empty()) text += fmt::format("debug-root {}\n", conf.debug.string());
  for (const ConfSource& source : conf.sources) {
    text += fmt::format("module-name {}\n\tsrc-name {}\n", source.module, source.path);
    for (const string& name : source.functions) text += fmt::format("\t\tfunc-name {}\n", name);
    for (const string& name : source.new_items) text += fmt::format("\t\tnew-item {}\n", name);
  }
  return text;
}

}  // namespace kpatch
