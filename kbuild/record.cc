#include "kbuild/record.h"

#include <fmt/core.h>

#include <string_view>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

fs::path record_of(const fs::path& file) {
  return file.parent_path() / fmt::format(".{}.cmd", file.filename().string());
}

// "NAME_FILE := VALUE"
std::optional<string_view> value_of(string_view line, string_view name) {
  const size_t sign = line.find(" := ");
  if (!line.starts_with(name) || sign == string_view::npos) return std::nullopt;
  return line.substr(sign + 4);
}

std::string unescaped(string_view value) {
  std::string command;
  for (size_t i = 0; i < value.size(); ++i) {
    const char next = i + 1 < value.size() ? value[i + 1] : '\0';
    if ((value[i] == '$' && next == '$') || (value[i] == '\\' && next == '#')) ++i;
    command += value[i];
  }
  return command;
}

std::string escaped(string_view command) {
  std::string value;
  for (const char c : command) {
    if (c == '$') value += '$';
    if (c == '#') value += '\\';
    value += c;
  }
  return value;
}

}  // namespace

std::optional<BuildRecord> read_record(const fs::path& file) {
  const std::string text = read_file_if_any(record_of(file));
  std::optional<BuildRecord> record;
  bool in_dependencies = false;
  for (string_view line : lines_of(text)) {
    auto command = value_of(line, "savedcmd_");
    if (!command) command = value_of(line, "cmd_");
    if (!record) {
      if (!command) return std::nullopt;
      record = BuildRecord{unescaped(*command)};
    } else if (const auto source = value_of(line, "source_")) {
      record->source = *source;
    } else if (line.starts_with("deps_")) {
      in_dependencies = true;
    } else if (in_dependencies && line.ends_with('\\')) {
      line.remove_suffix(1);
      line = trimmed(line);
      if (!line.starts_with("$(")) record->dependencies.emplace_back(line);
    } else {
      in_dependencies = false;
    }
  }
  return record;
}

void write_record(const fs::path& file, const BuildRecord& record) {
  std::string text = fmt::format("savedcmd_{} := {}\n", file.string(), escaped(record.command));
  if (!record.source.empty()) {
    text += fmt::format("\nsource_{0} := {1}\n\ndeps_{0} := \\\n", file.string(), record.source);
    for (const std::string& dependency : record.dependencies) text += fmt::format("  {} \\\n", dependency);
  }
  write_file(record_of(file), text + "\n", Flush::no);
}

}  // namespace kpatch
