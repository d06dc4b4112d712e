// Reading what make would run.
//
// Per object there is one line of shell, with the compiler in the middle of what surrounds it:
//
//     set -e; trap 'rm -f fs/proc/meminfo.o; …' HUP; gcc-12 -Wp,-MMD,fs/proc/.meminfo.o.d …
//     -DKBUILD_MODNAME='"meminfo"'
//         -c -o fs/proc/meminfo.o /src/fs/proc/meminfo.c ; scripts/basic/fixdep … 'gcc-12 …' > fs/proc/.meminfo.o.cmd
//
// The line is lexed as shell, and the simple command that compiles (-c, -D__KERNEL__, a .c last) is taken.
//
// Assumptions about the kernel, true from 5.10 to 6.18: recipes compile with `-c -o OBJECT SOURCE`; -DKBUILD_MODNAME
// names the module.
#include "kbuild/make-output.h"

#include <algorithm>
#include <set>
#include <utility>

#include "support/error.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

bool is_kernel_compile(const std::vector<std::string>& words) {
  return words.size() > 4 && words.back().ends_with(".c") && std::ranges::find(words, "-c") != words.end() &&
         std::ranges::find(words, "-o") != words.end() && std::ranges::find(words, "-D__KERNEL__") != words.end();
}

// The names of the modules that an object goes into, without their folder; several with colons between them.
// -DKBUILD_MODNAME="xt_comment" (the quotes are part of the macro's value, `-` is written as `_`).
std::string modules_of(const std::vector<std::string>& words) {
  constexpr std::string_view prefix = "-DKBUILD_MODNAME=";
  if (std::ranges::find(words, "-DMODULE") == words.end()) return "";
  for (auto& word : words) {
    if (!word.starts_with(prefix)) continue;
    std::string value = word.substr(prefix.size());
    std::erase(value, '"');
    return value;
  }
  return "";
}

std::string relative_source(const std::string& path, const std::string& source) {
  std::string_view rest = path;
  if (rest.starts_with(source) && rest.substr(source.size()).starts_with('/')) rest.remove_prefix(source.size() + 1);
  return fs::path(rest).lexically_normal().string();
}

}  // namespace

std::vector<std::vector<std::string>> split_shell(std::string_view text) {
  std::vector<std::vector<std::string>> commands(1);
  std::string word;
  bool in_word = false;
  auto end_word = [&] {
    if (std::exchange(in_word, false)) commands.back().push_back(std::exchange(word, {}));
  };
  auto end_command = [&] {
    end_word();
    if (!commands.back().empty()) commands.emplace_back();
  };
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (c == '\'') {
      size_t end = text.find('\'', i + 1);
      if (end == std::string_view::npos) throw Error("a quote isn't closed in what make printed");
      word += text.substr(i + 1, end - i - 1);
      in_word = true;
      i = end;
    } else if (c == '"') {
      in_word = true;
      for (i++; i < text.size() && text[i] != '"'; i++) {
        if (text[i] == '\\' && i + 1 < text.size() &&
            std::string_view("\"\\$`\n").find(text[i + 1]) != std::string::npos)
          i++;
        if (text[i] != '\n' || text[i - 1] != '\\') word += text[i];
      }
      if (i >= text.size()) throw Error("a quote isn't closed in what make printed");
    } else if (c == '\\' && i + 1 < text.size()) {
      i++;
      if (text[i] == '\n') continue;  // a line goes on
      word += text[i];
      in_word = true;
    } else if (c == ';' || c == '\n' || c == '&' || c == '|') {
      bool redirection = c == '&' && i > 0 && text[i - 1] == '>';  // 2>&1
      if (redirection)
        word += c;
      else
        end_command();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
    } else if (c == '#' && !in_word) {
      while (i + 1 < text.size() && text[i + 1] != '\n') i++;
    } else {
      word += c;
      in_word = true;
    }
  }
  end_command();
  if (commands.back().empty()) commands.pop_back();
  return commands;
}

std::vector<CompileCommand> parse_commands(std::string_view make_output, const fs::path& source) {
  std::vector<CompileCommand> result;
  std::set<std::string> seen;
  for (size_t start = 0; start < make_output.size();) {
    // One recipe line: up to a newline that no backslash precedes. Lines that compile nothing need no lexing.
    size_t end = start;
    do end = std::min(make_output.find('\n', end + (end > start)), make_output.size());
    while (end < make_output.size() && end > start && make_output[end - 1] == '\\');
    std::string_view line = make_output.substr(start, end - start);
    start = end + 1;
    if (line.find("-D__KERNEL__") == std::string_view::npos || line.find(" -c ") == std::string_view::npos) continue;
    for (auto& words : split_shell(line)) {
      if (!is_kernel_compile(words)) continue;
      CompileCommand command;
      command.object = *(std::ranges::find(words, "-o") + 1);
      command.source = relative_source(words.back(), source.string());
      command.module = modules_of(words);
      command.arguments = std::move(words);
      if (command.object.ends_with(".o") && seen.insert(command.object).second) result.push_back(std::move(command));
    }
  }
  return result;
}

// make goes on behind a file that it can't make (-k), which no kernel object is made from; but a make below it that was
// killed, or ran out of memory or disk, leaves half a list, and says so.
bool is_whole(std::string_view printed, std::string_view messages) {
  if (!printed.ends_with("\nkq-end\n") && printed != "kq-end\n") return false;
  for (std::string_view line : lines_of(messages)) {
    for (std::string_view trouble : {"write error", "memory exhausted", "Cannot allocate", "No space left", "fork",
                                     "Killed", "Terminated", "cannot execute", "Failed to remake makefile"})
      if (line.find(trouble) != std::string_view::npos) return false;
    const bool stopped = line.find("*** ") != std::string_view::npos;
    if (stopped && line.find("No rule to make target") == std::string_view::npos && !line.ends_with("] Error 2"))
      return false;
  }
  return true;
}

bool lacks_makefile(std::string_view messages) {
  return messages.find("Failed to remake makefile") != std::string_view::npos;
}

}  // namespace kpatch
