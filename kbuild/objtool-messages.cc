// Reading objtool
//
// Before 6.15 objtool exits with 0 whatever it finds: its messages are all there is. Each says that it gave up on some
// code, which then has no unwind data or an unpatched return. Two kinds come from what a livepatch is, and are no
// fault:
//
//     livepatch-fix.o: warning: objtool: .kpatch.funcs+0x60: data relocation to !ENDBR: mem_rw+0x0
//
// The table names the new functions. They are entered from ftrace's return, never by an indirect jump, so that they
// need no ENDBR; the compiler gave them none because nobody takes their address.
//
//     livepatch-fix.o: warning: objtool: .text.do_exit_work: unexpected end of section
//     livepatch-fix.o: warning: objtool: a() falls through to next function b()
//
// The function ends in a call that does not return. objtool knows that of the kernel's global functions by name, of
// static ones by reading them. A static callee that did not change stays in the kernel, so objtool can't read it here.
// The differ puts a trap behind code that ends in a call (CodeFacts::trap_behind); other ways to end remain.
// The proof is the whole patched object, callee included, as the compiler wrote it: if objtool says nothing of the
// function there, it understood the same code, and the callee was the reason.
#include "kbuild/objtool-messages.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "kbuild/make-output.h"
#include "kbuild/record.h"
#include "kernel/kernel.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

bool names_patch_table(string_view message) {
  return message.find(".kpatch.funcs+") != string_view::npos &&
         message.find("data relocation to !") != string_view::npos;
}

bool about_the_end(string_view message) {
  return message.find("unexpected end of section") != string_view::npos ||
         message.find("falls through to next function") != string_view::npos;
}

// What the message is about: the section, or the function that falls through (the next one is another in each link).
string_view subject(string_view message) {
  message.remove_prefix(std::min(message.size(), string_view("objtool: ").size()));
  return message.substr(0, message.find_first_of(":("));
}

// objtool's argv in kbuild's record, its object replaced; empty when it isn't there.
std::vector<std::string> objtool_command(const fs::path& linked, const fs::path& object) {
  const auto record = read_record(linked);
  if (!record) return {};
  for (std::vector<std::string>& words : split_shell(record->command)) {
    if (words.size() < 2 || !words.front().ends_with("objtool/objtool")) continue;
    words.back() = object.string();
    return words;
  }
  return {};
}

// The subjects that objtool stumbles over in the whole objects; nothing when it could not be asked.
std::optional<std::set<std::string>> stumbles(const ObjtoolRun& run, Executor& executor) {
  std::set<std::string> subjects;
  fs::create_directories(run.scratch);
  for (const fs::path& object : run.objects) {
    const fs::path copy = run.scratch / object.filename();
    fs::copy_file(object, copy, fs::copy_options::overwrite_existing);
    Command command;
    command.argv = objtool_command(run.linked, copy);
    command.directory = run.base;
    if (command.argv.empty()) return std::nullopt;
    for (const std::string& message : objtool_messages(executor.run(command).output)) {
      if (about_the_end(message)) subjects.emplace(subject(message));
    }
  }
  return subjects;
}

}  // namespace

std::vector<std::string> objtool_messages(string_view output) {
  std::vector<std::string> messages;
  std::set<string_view> seen;
  for (const string_view line : lines_of(output)) {
    const size_t start = line.find("objtool: ");
    if (start == string_view::npos) continue;
    const string_view message = line.substr(start);
    if (seen.insert(message).second) messages.emplace_back(message);
  }
  return messages;
}

std::vector<std::string> objtool_problems(std::vector<std::string> messages, const ObjtoolRun& run,
                                          Executor& executor) {
  std::erase_if(messages, names_patch_table);
  if (std::none_of(messages.begin(), messages.end(), about_the_end)) return messages;
  const auto in_whole_objects = stumbles(run, executor);
  if (!in_whole_objects) return messages;
  std::erase_if(messages, [&](const std::string& message) {
    return about_the_end(message) && !in_whole_objects->contains(std::string(subject(message)));
  });
  return messages;
}

}  // namespace kpatch
