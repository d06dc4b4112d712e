// Some headers are read twice: by the compiler, and by a script that makes C of their lines, comments included.
//
//     $(obj)/net_names.h : $(srctree)/include/linux/socket.h \        (security/apparmor/Makefile)
//                          $(srctree)/include/linux/net.h
//             $(call cmd,make-af)
//
//     $(obj)/smb2_mapping_table.c: $(src)/../common/smb2status.h \    (fs/smb/client/Makefile)
//                                  $(src)/gen_smb2_mapping FORCE
//
// Such products lie in the base as the unpatched header made them. make's own parser isn't at hand, and its variables need
// none here: the words for the source's folders stand in front of the header's name.
#include "kbuild/rule-inputs.h"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

namespace {

// Lines with those that they go on in, comments left out.
std::vector<string> logical_lines(string_view text) {
  std::vector<string> lines;
  bool goes_on = false;
  for (string_view line : lines_of(text)) {
    const bool more = line.ends_with('\\');
    if (more) line.remove_suffix(1);
    if (goes_on)
      lines.back() += " " + string(line);
    else
      lines.emplace_back(line);
    goes_on = more;
  }
  std::erase_if(lines, [](const string& line) {
    const size_t first = line.find_first_not_of(" \t");
    return first == string::npos || line[first] == '#';
  });
  return lines;
}

// The targets of `targets: prerequisites`; empty for a line that is no rule.
string_view targets_of(string_view line) {
  if (line.starts_with('\t')) return {};
  for (const string_view word : {"if", "else", "export", "override"})  // ifeq ($(CONFIG_X:m=y),y)
    if (line.starts_with(word)) return {};
  const size_t colon = line.find(':'), equals = line.find('=');
  if (colon == string_view::npos || equals < colon) return {};
  const size_t behind = line.find_first_not_of(':', colon);
  if (behind != string_view::npos && line[behind] == '=') return {};
  return line.substr(0, colon);
}

bool makes_objects_only(string_view targets) {
  const auto words = words_of(targets);
  return std::ranges::all_of(words, [](string_view word) { return word.ends_with(".o") || word.ends_with(".o)"); });
}

}  // namespace

std::vector<RuleInput> rule_inputs_of(string_view text, string_view folder, const string& makefile) {
  std::vector<RuleInput> inputs;
  for (const string& line : logical_lines(text)) {
    const string_view targets = targets_of(line);
    if (!targets.empty() && makes_objects_only(targets)) continue;  // what they are compiled with
    string_view last;
    for (string_view word : words_of(line)) {
      const bool of_compiler = last == "-include" || last == "include" || last == "-imacros";
      last = word;
      while (!word.empty() && (word.back() == ')' || word.back() == ';' || word.back() == '\'' || word.back() == '"'))
        word.remove_suffix(1);
      if (!word.ends_with(".h") || of_compiler) continue;
      constexpr string_view top = "$(srctree)/", here = "$(src)/";
      fs::path path;
      if (const size_t at = word.find(top); at != string_view::npos)
        path = word.substr(at + top.size());
      else if (const size_t beside = word.find(here); beside != string_view::npos)
        path = fs::path(folder) / word.substr(beside + here.size());
      else if (word.find('/') != string_view::npos && word.find('$') == string_view::npos)
        path = word;  // found by VPATH (drivers/scsi/Makefile); what is made has no file in the source
      if (path.empty() || path.string().find('$') != string::npos) continue;
      inputs.push_back({path.lexically_normal().string(), makefile});
    }
  }
  return inputs;
}

std::vector<RuleInput> rule_inputs(const Base& base, const fs::path& memo) {
  std::error_code error;
  string lines;
  if (fs::exists(memo, error)) {
    lines = read_file(memo);
  } else {
    std::set<string> found;
    walk(base.source, [&](const fs::directory_entry& entry) {
      const string name = entry.path().filename().string();
      const string at = entry.path().lexically_relative(base.source).string();
      if (entry.is_directory(error)) {
        const bool other = fs::path(at).parent_path() == "arch" && !fs::exists(base.kbuild / at, error);
        return !other && at != "tools" && at != "Documentation" && at != "scripts" && at != "samples";
      }
      if (!name.starts_with("Makefile") && !name.starts_with("Kbuild")) return false;
      for (const RuleInput& input : rule_inputs_of(read_file(entry.path()), fs::path(at).parent_path().string(), at))
        found.insert(input.pattern + "\t" + input.makefile + "\n");
      return false;
    });
    for (const string& line : found) lines += line;
    write_file(memo, lines);
  }
  std::vector<RuleInput> inputs;
  for (const string_view line : lines_of(lines))
    if (const auto fields = fields_of(line, '\t'); fields.size() == 2)
      inputs.push_back({string(fields[0]), string(fields[1])});
  return inputs;
}

std::vector<string> makefiles_that_read(const std::vector<RuleInput>& inputs, const string& header) {
  std::vector<string> makefiles;
  for (const RuleInput& input : inputs)
    if (fnmatch(input.pattern.c_str(), header.c_str(), FNM_PATHNAME) == 0) makefiles.push_back(input.makefile);
  return makefiles;
}

namespace {

// Lines that are on one side only, or more often.
std::vector<string> on_one_side(std::vector<string> before, std::vector<string> after) {
  std::ranges::sort(before);
  std::ranges::sort(after);
  std::vector<string> changed;
  std::ranges::set_symmetric_difference(before, after, std::back_inserter(changed));
  return changed;
}

// Three letters of a constant's name, as AF_ and SOCK_.
bool names_a_constant(string_view line) {
  unsigned letters = 0;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    letters = std::isupper(byte) || (letters > 0 && (std::isdigit(byte) || c == '_')) ? letters + 1 : 0;
    if (letters == 3) return true;
  }
  return false;
}

std::vector<string> recipes_of(string_view text) {
  std::vector<string> recipes;
  bool in_rule = false, in_define = false;
  for (const string& line : logical_lines(text)) {
    const string_view word = words_of(line).front();
    const string_view targets = targets_of(line);
    const bool command = word.starts_with("cmd_") || word.starts_with("filechk_") || word == "define";
    if (in_define || command || (in_rule && line.starts_with('\t')) ||
        (!targets.empty() && !makes_objects_only(targets)))
      recipes.push_back(line);
    if (word == "define") in_define = true;
    if (word == "endef") in_define = false;
    if (!line.starts_with('\t')) in_rule = !targets.empty();
  }
  return recipes;
}

}  // namespace

bool lists_something_else(string_view before, string_view after) {
  const auto lines = [](string_view text) {
    const auto views = lines_of(text);
    return std::vector<string>(views.begin(), views.end());
  };
  return std::ranges::any_of(on_one_side(lines(before), lines(after)), names_a_constant);
}

string changed_recipe(string_view before, string_view after) {
  const std::vector<string> changed = on_one_side(recipes_of(before), recipes_of(after));
  if (changed.empty()) return {};
  const auto words = words_of(changed.front());
  string line;
  for (const string_view word : words) line += (line.empty() ? "" : " ") + string(word);
  return line;
}

}  // namespace kpatch
