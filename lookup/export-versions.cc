// Why an export's version changes
//
// A module carries the CRC of each symbol that it imports, and the kernel compares them when it loads (kernel/module/
// version.c, check_version()). genksyms makes the CRC from the text of the declaration, with each named type replaced
// by its definition, and so on. It can write down what it went through:
//
//     s#list_head struct list_head { s#list_head * next , * prev ; }
//     s#pipe_inode_info struct pipe_inode_info { s#mutex mutex ; … }
//     pipe_lock void pipe_lock ( s#pipe_inode_info * )
//
// Of two such lists, the lines that differ among those that an export leads to are what its CRC changes for. A struct
// whose definition the file doesn't see is "struct x { UNKNOWN }": a new #include changes the CRC, and nothing else.
#include "lookup/export-versions.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {
namespace {

using std::string_view;

uint32_t crc_of(string_view word, string_view line) {
  uint32_t crc = 0;
  const bool prefixed = word.starts_with("0x");
  if (prefixed) word.remove_prefix(2);
  const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), crc, 16);
  if (!prefixed || problem != std::errc() || end != word.data() + word.size())
    throw Error(fmt::format("no version of a symbol: '{}'", line));
  return crc;
}

bool is_key(string_view word) {
  return word.size() > 2 && word[1] == '#' && string_view("suetE").find(word[0]) != string_view::npos;
}

const std::string* find(const ExportVersions& versions, string_view key) {
  const auto it = versions.types.find(key);
  return it == versions.types.end() ? nullptr : &it->second;
}

bool is_opaque(string_view text) { return text.find("{ UNKNOWN }") != string_view::npos; }

// The lines that an export leads to and that differ.
class Causes {
 public:
  Causes(const ExportVersions& before, const ExportVersions& after) : before_(before), after_(after) {}

  // Nothing when all there is are structs that became known or unknown to the file.
  std::vector<std::string> run(const std::string& name) {
    std::vector<std::string> queue{name}, causes;
    std::set<std::string, std::less<>> seen{name};
    bool only_known = false;
    for (size_t i = 0; i < queue.size(); ++i) {
      const std::string key = queue[i];
      const std::string *one = find(before_, key), *other = find(after_, key);
      for (const std::string* text : {one, other}) {
        if (text == nullptr) continue;
        for (const string_view word : words_of(*text))
          if (is_key(word) && seen.emplace(word).second) queue.emplace_back(word);
      }
      if (one == nullptr || other == nullptr || *one == *other) continue;
      if (is_opaque(*one) != is_opaque(*other))
        only_known = true;
      else
        causes.push_back(key);
    }
    if (causes.empty() && !only_known) causes.push_back(name);
    return causes;
  }

 private:
  const ExportVersions& before_;
  const ExportVersions& after_;
};

}  // namespace

ExportVersions read_export_versions(string_view output, string_view types) {
  ExportVersions versions;
  for (const string_view line : lines_of(output)) {
    const std::vector<string_view> words = words_of(line);
    if (words.size() == 3 && words[0] == "#SYMVER") {
      versions.crcs.emplace(words[1], crc_of(words[2], line));
    } else if (words.size() == 3 && words[0].starts_with("__crc_") && words[1] == "=" && words[2].ends_with(';')) {
      versions.crcs.emplace(words[0].substr(6), crc_of(words[2].substr(0, words[2].size() - 1), line));
    }
  }
  for (const string_view line : lines_of(types)) {
    const size_t space = line.find(' ');
    if (space != string_view::npos) versions.types.emplace(line.substr(0, space), trimmed(line.substr(space)));
  }
  return versions;
}

std::vector<ExportChange> export_changes(const ExportVersions& before, const ExportVersions& after) {
  std::vector<ExportChange> changes;
  for (const auto& [name, crc] : before.crcs) {
    const auto other = after.crcs.find(name);
    if (other == after.crcs.end() || other->second == crc) continue;
    std::vector<std::string> causes = Causes(before, after).run(name);
    if (!causes.empty()) changes.push_back({name, crc, other->second, std::move(causes)});
  }
  return changes;
}

std::vector<std::string> other_than_shipped(const ExportVersions& original, const Symvers& shipped, string_view owner) {
  std::vector<std::string> names;
  for (const auto& [name, crc] : original.crcs) {
    const Export* found = shipped.find(name);
    if (found != nullptr && found->owner == owner && found->crc != 0 && found->crc != crc) names.push_back(name);
  }
  return names;
}

std::string text_of(const std::vector<ExportChange>& changes) {
  std::string text;
  for (const ExportChange& change : changes) {
    text += fmt::format("{}\t{:#010x}\t{:#010x}", change.name, change.before, change.after);
    for (const std::string& cause : change.causes) (text += '\t') += cause;
    text += '\n';
  }
  return text;
}

std::vector<ExportChange> read_export_changes(string_view text) {
  std::vector<ExportChange> changes;
  for (const string_view line : lines_of(text)) {
    const std::vector<string_view> fields = fields_of(line, '\t');
    if (fields.size() < 4) throw Error(fmt::format("no change of an export: '{}'", line));
    ExportChange change{std::string(fields[0]), crc_of(fields[1], line), crc_of(fields[2], line), {}};
    for (size_t i = 3; i < fields.size(); ++i) change.causes.emplace_back(fields[i]);
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace kpatch
