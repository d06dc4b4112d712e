// A hole is known, its fix isn't, or isn't trusted yet: what the hole is in shall fail, cleanly, from now on.
//
//     kpatch-build -a 6.12-cloud --disable io_uring_setup=-EPERM --disable net/netfilter/xt_comment.c:comment_mt=false
//
// DWARF of the vmlinux or module that runs tells where a function is defined and what it returns. From that we write a
// source patch (patch/early-return.cc), and it goes the way that all patches go: copies that were inlined into callers are
// replaced with those, what ftrace can't redirect is refused, and the module is proven, audited and signed like any
// other. Nothing here knows how a livepatch is made.
//
// Where the source has another word than the function's name on that line, a macro makes the function. System calls are
// known (the body behind SYSCALL_DEFINEn is that of __do_sys_NAME); others are refused, since nobody knows what else the
// macro makes of the body.
#include "kpatch-build/disable.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <set>

#include "kbuild/kbuild.h"
#include "kpatch-build/diff-pairs.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {

namespace {

namespace fs = std::filesystem;
using std::string;
using std::string_view;

constexpr int most_errno = 133;
constexpr uint64_t most_error = 4095;  // kernel: MAX_ERRNO

// "EPERM" -> 1; nothing for a name that errno doesn't have.
std::optional<int> errno_of(string_view name) {
  for (int number = 1; number <= most_errno; ++number)
    if (const char* known = strerrorname_np(number); known != nullptr && name == known) return number;
  return std::nullopt;
}

struct Number {
  bool negative = false;
  uint64_t magnitude = 0;
};

// As C writes it in base ten or sixteen, or "-EPERM".
std::optional<Number> number_of(string_view text) {
  Number number;
  number.negative = text.starts_with('-');
  if (number.negative) text.remove_prefix(1);
  if (const auto error = errno_of(text); error && number.negative) {
    number.magnitude = static_cast<uint64_t>(*error);
    return number;
  }
  const int base = text.starts_with("0x") || text.starts_with("0X") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number.magnitude, base);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  number.negative &= number.magnitude != 0;
  return number;
}

bool fits(const Number& number, const ReturnType& type) {
  const uint64_t most = UINT64_MAX >> (64 - type.bytes * 8 + (type.is_signed ? 1 : 0));
  return number.negative ? type.is_signed && number.magnitude <= most + 1 : number.magnitude <= most;
}

// The most negative number is none that C can write.
string written(const Number& number) {
  const char* suffix = number.magnitude > INT64_MAX ? "ULL" : number.magnitude > INT32_MAX ? "LL" : "";
  if (!number.negative) return fmt::format("{}{}", number.magnitude, suffix);
  return number.magnitude > INT64_MAX ? fmt::format("-{}LL - 1", INT64_MAX)
                                      : fmt::format("-{}{}", number.magnitude, suffix);
}

[[noreturn]] void bad_value(const string& subject, const ReturnType& type, const std::optional<string>& value,
                            string_view what_fits) {
  throw Error(value ? fmt::format("--disable {}={}: it returns {}: {}", subject, *value, type.name, what_fits)
                    : fmt::format("--disable {}: it returns {}, so name what: {}", subject, type.name, what_fits));
}

string integer_statement(const ReturnType& type, const std::optional<string>& value, const string& subject) {
  const uint64_t bits = type.bytes * 8;
  const auto number = value ? number_of(*value) : std::nullopt;
  if (!number || !fits(*number, type))
    bad_value(subject, type, value,
              type.is_signed ? fmt::format("a number of {} bits, or an error as in {}=-EPERM", bits, subject)
                             : fmt::format("a number of {} bits from 0 on, as in {}=0", bits, subject));
  return fmt::format("return {};", written(*number));
}

string boolean_statement(const ReturnType& type, const std::optional<string>& value, const string& subject) {
  const bool yes = value == "true" || value == "1", no = value == "false" || value == "0";
  if (!yes && !no) bad_value(subject, type, value, "true or false");
  return yes ? "return true;" : "return false;";
}

string pointer_statement(const ReturnType& type, const std::optional<string>& value, const string& subject) {
  if (value == "NULL" || value == "0") return "return NULL;";
  const auto number = value ? number_of(*value) : std::nullopt;
  if (!number || !number->negative || number->magnitude > most_error)
    bad_value(subject, type, value,
              "NULL, or an error as in -ENOMEM where its callers ask IS_ERR() (else they follow it)");
  return fmt::format("return (void *)-{}L;", number->magnitude);
}

string enumeration_statement(const ReturnType& type, const std::optional<string>& value, const string& subject) {
  const auto number = value ? number_of(*value) : std::nullopt;
  std::vector<string> names;
  for (const auto& [name, known] : type.enumerators) {
    if (value &&
        (name == *value || (number && (number->negative ? -known : known) == static_cast<int64_t>(number->magnitude))))
      return fmt::format("return {};", name);
    names.push_back(name);
  }
  bad_value(subject, type, value, "one of " + some_of(names));
}

// What a source calls the function that the compiler knows by that name, on its own line.
std::vector<string> words_for(const string& function) {
  std::vector<string> words = {function};
  for (const auto& [prefix, macro] :
       {std::pair("__do_sys_", "SYSCALL_DEFINE"), {"__do_compat_sys_", "COMPAT_SYSCALL_DEFINE"}})
    if (function.starts_with(prefix))
      for (int number = 0; number <= 6; ++number) words.push_back(macro + std::to_string(number));
  return words;
}

struct Found {
  DefinedFunction function;
  string module;  // as kbuild names it; empty: vmlinux
  string source;  // relative to the tree
};

class Finder {
 public:
  Finder(const Build& build, const Base& base) : build_(build), base_(base) {}

  Found find(const Disabled& disabled) {
    std::vector<Found> all;
    for (const string& module : modules_for(disabled)) {
      if (!module.empty()) {
        const std::vector<string> one = {module};
        unpack_debug_modules(base_, one, build_.cache, build_.executor, build_.console);
      }
      const fs::path file = module.empty() ? base_.vmlinux : parent_of_module(base_, module);
      for (DefinedFunction& function : defined_functions(file, disabled.function)) {
        string source = in_tree(function.file);
        if (!is_file(disabled.place) || source == disabled.place) all.push_back({std::move(function), module, source});
      }
    }
    return only_one(disabled, std::move(all));
  }

 private:
  static bool is_file(string_view place) { return place.ends_with(".c") || place.ends_with(".h"); }

  // The compiler was told "./include/net/sock.h" or "/build/linux-6.12/fs/proc/meminfo.c".
  string in_tree(const string& file) const {
    std::error_code absent;
    for (string_view rest = file; !rest.empty();) {
      if (!rest.starts_with('/') && safe_path(rest) && fs::is_regular_file(base_.source / rest, absent))
        return string(rest);
      const size_t slash = rest.find('/');
      if (slash == string_view::npos) break;
      rest.remove_prefix(slash + 1);
    }
    return file;
  }

  static bool defines(const Binary& binary, const string& function) {
    return std::ranges::any_of(binary.symbols(), [&](const BinarySymbol& symbol) {
      if (!symbol.defined() || symbol.type != SymbolType::function || !symbol.name.starts_with(function)) return false;
      const string_view rest = symbol.name.substr(function.size());
      return rest.empty() || rest.starts_with('.');  // a part or clone of it
    });
  }

  // Where it may be defined.
  std::vector<string> modules_for(const Disabled& disabled) {
    if (is_file(disabled.place)) {
      std::set<string> modules;
      for (const CompileCommand& command : commands_for_source(base_, build_.executor, disabled.place))
        modules.insert(command.module);
      if (!fs::is_regular_file(base_.source / disabled.place))
        throw Error(fmt::format("--disable {}: the kernel's source has no such file", disabled.place));
      if (modules.empty() && disabled.place.ends_with(".c"))
        throw Error(fmt::format("--disable {}: {} doesn't build that file", disabled.place, base_.release));
      if (!modules.empty()) return {modules.begin(), modules.end()};
    }
    std::vector<string> modules = {""};
    Console::Stage stage(build_.console, "looking for " + disabled.function);
    std::vector<string> paths;
    walk(base_.modules, [&](const fs::directory_entry& entry) {
      const string path = entry.path().lexically_relative(base_.modules).string();
      if (const auto module = module_path_of(path)) paths.emplace_back(*module);
      return true;
    });
    const bool named = !disabled.place.empty() && !is_file(disabled.place);
    if (named) modules.clear();
    if (named && disabled.place == "vmlinux") return {""};
    for (size_t i = 0; i < paths.size(); ++i) {
      stage.progress(i, paths.size());
      if (named ? module_name_of(paths[i]) == module_name_of(disabled.place) : is_in(paths[i], disabled.function))
        modules.push_back(paths[i]);
    }
    if (modules.empty())
      throw Error(fmt::format("--disable {}:{}: {} has no such module, and the source is named by its path",
                              disabled.place, disabled.function, base_.release));
    return modules;
  }

  bool is_in(const string& module, const string& function) {
    const auto file = module_file(base_, module);
    return file && defines(Binary::open(*file), function);
  }

  Found only_one(const Disabled& disabled, std::vector<Found> all) const {
    if (all.empty())
      throw Error(fmt::format("--disable {}: {} has no function of that name{}", disabled.function, base_.release,
                              disabled.place.empty() ? "" : " in " + disabled.place));
    std::set<string> places;
    for (const Found& one : all) places.insert(fmt::format("{}:{}", one.source, disabled.function));
    if (places.size() > 1)
      throw Error(
          fmt::format("--disable {}: there are several, name one as {}", disabled.function, fmt::join(places, " or ")));
    return std::move(all.front());
  }

  const Build& build_;
  const Base& base_;
};

Finding refusal(string_view rule, const Found& found, string message, string advice) {
  return {string(rule),
          Severity::refusal,
          {.source = found.source, .line = found.function.line, .function = found.function.name},
          std::move(message),
          std::move(advice),
          {}};
}

}  // namespace

Disabled parse_disabled(const string& text) {
  Disabled disabled;
  string rest = text;
  if (const size_t equals = rest.find('='); equals != string::npos) {
    disabled.value = rest.substr(equals + 1);
    rest.resize(equals);
  }
  if (const size_t colon = rest.rfind(':'); colon != string::npos) {
    disabled.place = rest.substr(0, colon);
    rest.erase(0, colon + 1);
  }
  disabled.function = rest;
  const bool plain = std::ranges::all_of(rest, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  const bool odd_place = text.find(':') != string::npos && !safe_path(disabled.place);
  if (rest.empty() || !plain || odd_place || (disabled.value && disabled.value->empty()))
    throw Error(fmt::format("--disable {}: FUNC, FUNC=VALUE or FILE:FUNC=VALUE is meant", text));
  return disabled;
}

string return_statement(const ReturnType& type, const std::optional<string>& value, const string& subject) {
  switch (type.kind) {
    case ReturnKind::nothing:
      if (value) throw Error(fmt::format("--disable {}={}: it returns nothing, leave the value out", subject, *value));
      return "return;";
    case ReturnKind::boolean:
      return boolean_statement(type, value, subject);
    case ReturnKind::integer:
      return integer_statement(type, value, subject);
    case ReturnKind::pointer:
      return pointer_statement(type, value, subject);
    case ReturnKind::enumeration:
      return enumeration_statement(type, value, subject);
    case ReturnKind::other:
      break;
  }
  return {};
}

Result<PatchText> disabling_patch(const Build& build, const Base& base) {
  Result<PatchText> result;
  std::map<string, std::vector<EarlyReturn>> by_file;
  Finder finder(build, base);
  std::set<string> seen;
  for (const string& text : build.options.disabled) {
    const Disabled disabled = parse_disabled(text);
    const Found found = finder.find(disabled);
    if (!seen.insert(fmt::format("{}:{}", found.source, disabled.function)).second)
      throw Error(fmt::format("--disable {}: {} is named twice", text, disabled.function));
    // The compiler puts nothing behind calls of it: whoever called it would run into whatever comes next.
    if (found.function.never_returns) {
      result.findings.push_back(refusal("disable-noreturn", found, "never returns (__noreturn), and can't be made to",
                                        "disable what calls it"));
      continue;
    }
    const string statement = return_statement(found.function.type, disabled.value, disabled.function);
    if (statement.empty()) {
      result.findings.push_back(refusal(
          "disable-type", found, fmt::format("returns a {}, of which no value can be named", found.function.type.name),
          "write a patch, or disable its callers"));
      continue;
    }
    const string source = read_file(base.source / found.source);
    EarlyReturn early{found.source, "", found.function.line, statement};
    for (const string& word : words_for(disabled.function))
      if (early.function.empty() && body_of({found.source, word, early.line, ""}, source)) early.function = word;
    if (early.function.empty())
      result.findings.push_back(refusal("disable-macro", found,
                                        "is made by a macro, whose other uses of the body aren't known",
                                        "disable its callers, or what it calls"));
    else
      by_file[found.source].push_back(early);
    if (!early.function.empty())
      build.console.info(
          fmt::format("disable {} ({}:{}): {}", disabled.function, found.source, found.function.line, statement));
  }
  const bool refused = !result.findings.empty();
  PatchText patch{build.options.patches.front(), {}};
  for (const auto& [file, functions] : by_file)
    patch.text += early_return_patch(file, functions, read_file(base.source / file));
  build.console.debug(patch.text);
  if (!refused) result.value = std::move(patch);
  return result;
}

}  // namespace kpatch
