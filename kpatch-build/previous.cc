// The kernel replaces a livepatch as a whole: what release 4 doesn't hold is the unpatched code again, and nobody says so.
//
//     release 3:  fix-a.patch fix-b.patch fix-c.patch
//     release 4:  fix-a.patch fix-c.patch fix-d.patch      b is open again
//
// What two releases have is compared as far as each says it. Lines of a patch that stand together are one place; it is
// there still when the new patches have the same lines in that file, once more for each place, and in the same function where
// both tell: one check that was added to two functions is two. A patch that is worked over has other lines:
// so a place is one that was changed, and isn't refused, when half of its lines that say something ("}" doesn't) are
// in the file's places; less than that is a place that is gone. Line numbers are not looked at.
#include "kpatch-build/previous.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "elf/elf.h"
#include "kbuild/kbuild.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

// A line that says something: others are in each file.
bool says_something(string_view line) {
  return std::ranges::count_if(line, [](char c) { return continues_word(c); }) >= 4;
}

std::string line_digest(char sign, string_view line) {
  std::string text(1, sign);
  return text + digest_of(trimmed(line)).substr(0, 8);
}

// What stands for a line that says nothing: it isn't looked for.
std::string entry_of(string_view line) {
  return says_something(line.substr(1)) ? line_digest(line[0], line.substr(1)) : std::string();
}

// What diff takes for the head of a function: a line that begins with a word.
bool is_heading(string_view line) {
  return !line.empty() && continues_word(line[0]) && (line[0] < '0' || line[0] > '9');
}

// "static int show(struct seq_file *m," -> show; of what has no arguments the line. Nothing is told by a label, nor by
// EXPORT_SYMBOL(show); and other lines that stand between functions.
std::string function_entry(string_view heading) {
  if (trimmed(heading).ends_with(':') || trimmed(heading).ends_with(';')) return {};
  string_view name = trimmed(heading.substr(0, heading.find('(')));
  if (name.size() < heading.size())
    while (!name.empty() && !continues_word(name.back())) name.remove_suffix(1);
  size_t begin = name.size();
  while (begin > 0 && continues_word(name[begin - 1])) --begin;
  if (heading.find('(') != string_view::npos) name.remove_prefix(begin);
  return name.empty() ? std::string() : line_digest('@', name);
}

void add_places(const Hunk& hunk, const std::string& file, std::vector<PatchPlace>& places) {
  unsigned line = std::max(hunk.new_start, 1U);
  PatchPlace place{file, line, {}, function_entry(hunk.heading)};
  const auto close = [&] {
    if (!place.lines.empty()) places.push_back(place);
    place.lines.clear();
  };
  for (const std::string& text : hunk.lines) {
    if (text[0] == ' ') {
      close();
      if (const auto body = string_view(text).substr(1); is_heading(body)) place.function = function_entry(body);
    } else if (const std::string entry = entry_of(text); !entry.empty()) {
      if (place.lines.empty()) place.line = line;
      place.lines.push_back(entry);
    }
    if (text[0] != '-') ++line;
  }
  close();
}

// `klp_shadow_alloc(obj, ID, …)`: which argument is the id; -1: no call of that kind.
int place_of_id(string_view function) {
  if (is_one_of(function, {"klp_shadow_alloc", "klp_shadow_get", "klp_shadow_get_or_alloc", "klp_shadow_free"}))
    return 1;
  return function == "klp_shadow_free_all" ? 0 : -1;
}

void add_shadow_ids(const Hunk& hunk, std::set<std::string>& ids) {
  std::string text;
  for (const string_view line : hunk.new_side()) text.append(line) += '\n';
  Lexer lexer(text);
  for (Lexer::Token token = lexer.next(); !token.text.empty(); token = lexer.next()) {
    const int wanted = place_of_id(token.text);
    if (wanted < 0 || lexer.next().text != "(") continue;
    std::string id;
    int argument = 0, depth = 0;
    for (Lexer::Token part = lexer.next(); !part.text.empty(); part = lexer.next()) {
      if (depth == 0 && (part.text == ")" || (part.text == "," && argument++ == wanted))) break;
      if (depth == 0 && part.text == ",") continue;
      depth += part.text == "(" ? 1 : part.text == ")" ? -1 : 0;
      if (argument == wanted) id += (id.empty() ? "" : " ") + std::string(part.text);
    }
    if (!id.empty()) ids.insert(id);
  }
}

class Comparison {
 public:
  Comparison(const LivepatchContent& before, const fs::path& name, const LivepatchContent& now,
             std::span<const std::string> acknowledged)
      : before_(before), name_(name.filename().string()), now_(now), acknowledged_(acknowledged) {}

  std::vector<Finding> run() {
    if (before_.knows_functions) {
      functions();
      callbacks();
      shadow_use();
      states();
    } else {
      unknown("functions and callbacks");
    }
    if (before_.knows_patches) {
      places();
      shadow_ids();
    } else {
      unknown(before_.fixes.empty() ? "hunks, ids of shadow variables and fixes" : "hunks and ids of shadow variables");
    }
    fixes();
    return std::move(findings_);
  }

 private:
  void dropped(const char* rule, Location location, std::string what, std::string advice) {
    const bool accepted = std::ranges::find(acknowledged_, string_view(rule)) != acknowledged_.end();
    findings_.push_back({rule, accepted ? Severity::warning : Severity::refusal, std::move(location), std::move(what),
                         std::move(advice)});
  }
  void note(std::string text) { findings_.push_back({"previous", Severity::notice, {}, std::move(text), {}}); }
  void unknown(string_view what) { note(fmt::format("{} doesn't tell its {}: they aren't compared", name_, what)); }
  void note_new(string_view what, const std::vector<std::string>& names) {
    if (!names.empty()) note(fmt::format("new since {}: {} {}", name_, what, joined(names, ", ")));
  }

  static auto identity(const ContentFunction& f) { return std::tie(f.object, f.name, f.sympos); }
  static std::string in_words(const ContentFunction& f) {
    return fmt::format("{}:{}{}", f.object, f.name, f.sympos < 2 ? "" : fmt::format(",{}", f.sympos));
  }
  static const ContentFunction* find(const LivepatchContent& in, const ContentFunction& function) {
    // 0 and 1 are the same to whom the name is unique.
    const auto found = std::ranges::find_if(in.functions, [&](const ContentFunction& f) {
      return f.object == function.object && f.name == function.name &&
             std::max<uint64_t>(f.sympos, 1) == std::max<uint64_t>(function.sympos, 1);
    });
    return found == in.functions.end() ? nullptr : &*found;
  }

  void functions() {
    std::vector<std::string> fresh, other;
    size_t same = 0;
    for (const ContentFunction& f : before_.functions) {
      const ContentFunction* here = find(now_, f);
      if (here == nullptr)
        dropped("dropped-function", {.function = f.name},
                fmt::format("of {} is patched by {}, and by this livepatch no more", f.object, name_), advice());
      else if (here->code != f.code)
        other.push_back(in_words(f));
      else
        ++same;
    }
    for (const ContentFunction& f : now_.functions)
      if (find(before_, f) == nullptr) fresh.push_back(in_words(f));
    note_new("patched functions", fresh);
    if (!other.empty()) note(fmt::format("of other code than in {}: {}", name_, joined(other, ", ")));
    if (same != 0) note(fmt::format("as in {}: {} function{}", name_, same, same == 1 ? "" : "s"));
  }

  std::string advice() const {
    if (before_.release.empty() || before_.release == now_.release)
      return "what replaces it must hold all of it: give its patches, too";
    return fmt::format("{} is for {}, where the fix may have been missing: see whether this kernel has it", name_,
                       before_.release);
  }

  void callbacks() {
    std::vector<std::string> fresh;
    for (const auto& [object, kind] : before_.callbacks)
      if (!now_.callbacks.contains({object, kind}))
        dropped("dropped-callback", {.function = kind},
                fmt::format("a callback of {} in {}, which this livepatch lacks", object, name_),
                "when a livepatch is replaced, the callbacks of the new one run alone: it must do what is left to do");
    for (const auto& [object, kind] : now_.callbacks)
      if (!before_.callbacks.contains({object, kind})) fresh.push_back(fmt::format("{}:{}", object, kind));
    note_new("callbacks", fresh);
  }

  void shadow_use() {
    if (before_.has_shadow_variables && !now_.has_shadow_variables)
      dropped(
          "dropped-shadow", {},
          fmt::format("{} has shadow variables, and this livepatch has none: nobody frees those that there are", name_),
          "free them in a callback: klp_shadow_free_all()");
  }

  // kernel/livepatch/state.c: klp_is_patch_compatible().
  void states() {
    if (before_.has_states && !now_.has_states)
      dropped(
          "dropped-state", {},
          fmt::format("{} has states (struct klp_state), and this livepatch has none: the kernel refuses to replace "
                      "it, with EINVAL",
                      name_),
          "unload that one first, or write this one by hand as well");
  }

  // Lines of places, each as often as it is there, with the function that it is in.
  using Lines = std::map<std::string, std::map<std::string, std::vector<std::string>>, std::less<>>;
  static Lines lines_of_places(const std::vector<PatchPlace>& places) {
    Lines lines;
    for (const PatchPlace& place : places)
      for (const std::string& line : place.lines) lines[place.file][line].push_back(place.function);
    return lines;
  }

  // How many lines of the place are among the file's; these are taken.
  static size_t take(const PatchPlace& place, std::map<std::string, std::vector<std::string>>& file) {
    size_t there = 0;
    for (const std::string& line : place.lines) {
      const auto known = file.find(line);
      if (known == file.end()) continue;
      auto& functions = known->second;
      auto fits = std::ranges::find(functions, place.function);
      if (fits == functions.end())
        fits =
            std::ranges::find_if(functions, [&](const std::string& f) { return f.empty() || place.function.empty(); });
      if (fits == functions.end()) continue;
      functions.erase(fits);
      ++there;
    }
    return there;
  }

  void places() {
    Lines lines = lines_of_places(now_.places);
    std::set<std::string> files_gone;
    std::vector<std::string> other;
    for (const PatchPlace& place : before_.places) {
      const auto file = lines.find(place.file);
      if (file == lines.end()) {
        if (files_gone.insert(place.file).second)
          dropped("dropped-hunk", {.source = place.file},
                  fmt::format("is changed by {}, and by these patches no more", name_), advice());
        continue;
      }
      const size_t there = take(place, file->second);
      if (there == place.lines.size()) continue;
      if (2 * there >= place.lines.size())
        other.push_back(fmt::format("{}:{}", place.file, place.line));
      else
        dropped("dropped-hunk", {.source = place.file, .line = static_cast<int>(place.line)},
                fmt::format("what {} changes there isn't in these patches", name_), advice());
    }
    note_new_places();
    if (!other.empty()) note(fmt::format("changed in another way than by {}: {}", name_, joined(other, ", ")));
  }

  void note_new_places() {
    Lines lines = lines_of_places(before_.places);
    std::vector<std::string> fresh;
    for (const PatchPlace& place : now_.places) {
      const auto file = lines.find(place.file);
      if (file == lines.end() || take(place, file->second) < place.lines.size())
        fresh.push_back(fmt::format("{}:{}", place.file, place.line));
    }
    note_new("places", fresh);
  }

  void shadow_ids() {
    for (const std::string& id : before_.shadow_ids)
      if (!now_.shadow_ids.contains(id))
        dropped("dropped-shadow", {.function = id},
                fmt::format("the id of shadow variables of {}, is in these patches no more", name_),
                "variables of that id outlive a replacement: use them on, or free them in a callback");
    std::vector<std::string> fresh;
    std::ranges::set_difference(now_.shadow_ids, before_.shadow_ids, std::back_inserter(fresh));
    note_new("ids of shadow variables", fresh);
  }

  void fixes() {
    for (const std::string& fix : before_.fixes)
      if (!now_.fixes.contains(fix))
        dropped("dropped-fix", {.function = fix}, fmt::format("is fixed by {}, and isn't named by --fixes here", name_),
                fmt::format("--fixes {}, if these patches fix it", fix));
    std::vector<std::string> fresh;
    std::ranges::set_difference(now_.fixes, before_.fixes, std::back_inserter(fresh));
    note_new("fixes", fresh);
  }

  const LivepatchContent& before_;
  std::string name_;
  const LivepatchContent& now_;
  std::span<const std::string> acknowledged_;
  std::vector<Finding> findings_;
};

}  // namespace

LivepatchContent content_of_patches(std::span<const PatchText> patches,
                                    const std::function<bool(const std::string&)>& exists) {
  LivepatchContent content;
  content.maker = "a patch";
  content.knows_patches = true;
  std::set<std::string> made;  // by an earlier one
  for (const PatchText& text : patches) {
    PatchFile patch = parse_patch(text.path, text.text);
    resolve_paths(patch, [&](const std::string& file) { return made.contains(file) || exists(file); });
    for (const FilePatch& file : patch.files) {
      const std::string& name = file.change == FileChange::remove ? file.old_path : file.new_path;
      made.insert(name);
      for (const Hunk& hunk : file.hunks) {
        add_places(hunk, name, content.places);
        if (fs::path(name).extension() == ".c" || fs::path(name).extension() == ".h")
          add_shadow_ids(hunk, content.shadow_ids);
      }
    }
  }
  return content;
}

LivepatchContent read_previous(const fs::path& file, const std::function<bool(const std::string&)>& exists) {
  const PatchText text = read_patch(file);
  try {
    const std::string name = file.filename().string();
    const bool packed = name.ends_with(".ko.xz") || name.ends_with(".ko.gz") || name.ends_with(".ko.zst");
    if (packed || text.text.starts_with("\177ELF")) return content_of(KlpElf::read(file));
    if (file.extension() != ".json") return content_of_patches(std::span(&text, 1), exists);
    const nlohmann::json report = nlohmann::json::parse(text.text, nullptr, false);
    return livepatch_content_of(report.is_object() && report.contains("livepatch") ? report["livepatch"]
                                                                                   : nlohmann::json());
  } catch (const Error& error) {
    throw Error(fmt::format("--previous {}: {}", file.string(), error.what()));
  }
}

std::vector<Finding> compare_with_previous(const LivepatchContent& previous, const fs::path& name,
                                           const LivepatchContent& now, std::span<const std::string> acknowledged) {
  return Comparison(previous, name, now, acknowledged).run();
}

}  // namespace kpatch
