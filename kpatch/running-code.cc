// The kernel's memory as a core file (fs/proc/kcore.c): a program header for each range, and a note with what a reader of
// dumps wants to know:
//
//     KERNELOFFSET=1a000000      by how much the image was moved from where it was linked
//     SYMBOL(…)=…
//
// What isn't mapped is read as zeros, without an error. Under lockdown=confidentiality, and without CONFIG_PROC_KCORE,
// nothing can be read; then nothing is known, and said so.
//
// A probe within the function has written to its code, and is told of by itself (hooks.cc): its bytes are left out.
#include "kpatch/running-code.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::json;
using std::string_view;

// A probe's jump is written, and taken out again, some time after the list of probes tells of it (kprobe_optimizer in
// kernel/kprobes.c): code that differs is looked at again before anything is said.
constexpr int most_looks = 5;
constexpr std::chrono::milliseconds pause{500};

constexpr uint64_t most_code = uint64_t{1} << 20;  // of one function, and of a note of /proc/kcore

std::optional<uint64_t> hex_number(string_view text) {
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (problem != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

class Memory {
 public:
  explicit Memory(const System& system) : fd_(open(system.path("/proc/kcore").c_str(), O_RDONLY | O_CLOEXEC)) {
    Elf64_Ehdr header{};
    if (fd_ < 0 || !get(&header, sizeof header, 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr range{};
      if (!get(&range, sizeof range, header.e_phoff + uint64_t{i} * sizeof range)) return;
      if (range.p_type == PT_LOAD) ranges_.push_back(range);
      if (range.p_type == PT_NOTE) read_note(range);
    }
  }
  ~Memory() {
    if (fd_ >= 0) close(fd_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  bool readable() const { return !ranges_.empty(); }
  std::optional<uint64_t> moved_by() const { return moved_by_; }

  // Empty when it can't be read.
  std::string at(uint64_t address, uint64_t size) const {
    for (const Elf64_Phdr& range : ranges_) {
      if (address < range.p_vaddr || address - range.p_vaddr >= range.p_memsz) continue;
      if (size > range.p_memsz - (address - range.p_vaddr)) continue;
      std::string bytes(size, '\0');
      if (get(bytes.data(), size, range.p_offset + (address - range.p_vaddr))) return bytes;
    }
    return {};
  }

 private:
  bool get(void* to, uint64_t size, uint64_t offset) const {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t got = pread(fd_, at, size, static_cast<off_t>(offset));
      if (got <= 0) return false;
      at += got, size -= static_cast<uint64_t>(got), offset += static_cast<uint64_t>(got);
    }
    return true;
  }

  // It is text: that of VMCOREINFO among others.
  void read_note(const Elf64_Phdr& range) {
    if (range.p_filesz > most_code) return;
    std::string note(range.p_filesz, '\0');
    if (!get(note.data(), note.size(), range.p_offset)) return;
    constexpr string_view name = "\nKERNELOFFSET=";
    const size_t at = note.find(name);
    if (at != std::string::npos) moved_by_ = hex_number(string_view(note).substr(at + name.size()));
  }

  int fd_;
  std::vector<Elf64_Phdr> ranges_;
  std::optional<uint64_t> moved_by_;
};

// Where probes have written, by function: offset and length.
using Written = std::multimap<std::string, std::pair<uint64_t, uint64_t>>;

Written probes_of(const System& system) {
  constexpr uint64_t trap = 4, jump = 16;  // at most, on any architecture
  Written written;
  const std::string text = read_file_if_any(system.path("/sys/kernel/debug/kprobes/list"));
  for (const string_view line : lines_of(text)) {
    const auto words = words_of(line);
    if (words.size() < 3) continue;
    const size_t plus = words[2].find("+0x");
    const uint64_t offset = plus == string_view::npos ? 0 : hex_number(words[2].substr(plus + 3)).value_or(0);
    const bool jumps = line.find("[OPTIMIZED]") != string_view::npos;
    written.emplace(std::string(words[2].substr(0, plus)), std::pair(offset, jumps ? jump : trap));
  }
  return written;
}

// Offsets of what differs.
std::vector<uint64_t> differences(const OriginalFunction& function, string_view running, const Written& probes) {
  std::vector<bool> skipped(function.code.size());
  for (size_t i = 0; i < skipped.size(); ++i) skipped[i] = !function.compared[i];
  const auto skip = [&](uint64_t at, uint64_t length) {
    for (uint64_t i = at; i < std::min<uint64_t>(skipped.size(), at + length); ++i) skipped[i] = true;
  };
  for (auto [it, end] = probes.equal_range(function.function.name); it != end; ++it)
    skip(it->second.first, it->second.second);
  // A distance that is a bit less leads to the code in front of the same function, which counts calls.
  constexpr int64_t most_less = 16;
  for (const uint64_t at : function.calls) {
    int32_t shipped = 0, here = 0;
    if (at + sizeof shipped > function.code.size()) continue;
    std::memcpy(&shipped, function.code.data() + at, sizeof shipped);
    std::memcpy(&here, running.data() + at, sizeof here);
    if (const int64_t less = int64_t{shipped} - here; less >= 0 && less <= most_less) skip(at, sizeof shipped);
  }
  std::vector<uint64_t> different;
  for (uint64_t i = 0; i < skipped.size(); ++i)
    if (!skipped[i] && function.code[i] != running[i]) different.push_back(i);
  return different;
}

// The bytes around the first difference, as a reader may compare them.
std::string beside(const OriginalFunction& function, string_view running, uint64_t at) {
  const uint64_t length = std::min<uint64_t>(8, running.size() - at);
  return fmt::format("{} instead of {}", hex_of(running.substr(at, length)),
                     hex_of(string_view(function.code).substr(at, length)));
}

class Comparison {
 public:
  Comparison(const System& system, const OriginalCode& code) : system_(system), memory_(system), code_(code) {
    probes_ = probes_of(system);
  }

  std::vector<Hook> run() {
    if (!memory_.readable()) return {unknown("the code that runs can't be compared: /proc/kcore can't be read")};
    if (const std::string own = own_build_id(); !own.empty() && !code_.build_id.empty() && own != code_.build_id)
      return {{Bearing::foreign, "",
               "the kernel that runs is another build of this release than the one that was patched",
               "build the livepatch for the vmlinux of the kernel that runs"}};
    std::vector<Hook> found;
    for (const OriginalFunction& function : code_.functions)
      if (auto hook = compare(function)) found.push_back(std::move(*hook));
    return found;
  }

 private:
  static Hook unknown(std::string what, std::string function = {}) {
    return {Bearing::unknown, std::move(function), std::move(what), {}};
  }

  // Of /sys/kernel/notes; empty when it isn't there.
  std::string own_build_id() const {
    const std::string notes = read_file_if_any(system_.path("/sys/kernel/notes"));
    for (size_t at = 0; notes.size() - at >= sizeof(Elf64_Nhdr);) {
      Elf64_Nhdr header{};
      std::memcpy(&header, notes.data() + at, sizeof header);
      const size_t name = at + sizeof header, contents = name + (size_t{header.n_namesz} + 3) / 4 * 4;
      const size_t next = contents + (size_t{header.n_descsz} + 3) / 4 * 4;
      if (contents + header.n_descsz > notes.size()) break;
      if (header.n_type == NT_GNU_BUILD_ID && notes.compare(name, 4, string_view("GNU\0", 4)) == 0)
        return hex_of(string_view(notes).substr(contents, header.n_descsz));
      if (next > notes.size()) break;
      at = next;
    }
    return {};
  }

  // Where the function is in memory; nothing where that isn't told.
  std::optional<uint64_t> address_of(const OriginalFunction& function) const {
    if (function.section.empty()) {
      const auto moved = memory_.moved_by();
      return moved ? std::optional(function.address + *moved) : std::nullopt;
    }
    const std::string text =
        system_.text(fmt::format("/sys/module/{}/sections/{}", function.function.object, function.section));
    const auto base = text.starts_with("0x") ? hex_number(string_view(text).substr(2)) : std::nullopt;
    if (!base || *base == 0) return std::nullopt;
    return *base + function.address;
  }

  std::optional<Hook> compare(const OriginalFunction& function) const {
    const std::string& object = function.function.object;
    const std::string& name = function.function.name;
    if (object != "vmlinux" && !std::filesystem::exists(system_.path("/sys/module/" + object))) return std::nullopt;
    const auto address = address_of(function);
    if (!address) return unknown("can't be compared with what was shipped: where it lies isn't told", name);
    const std::string running = memory_.at(*address, function.code.size());
    if (running.empty() || running.find_first_not_of('\0') == std::string::npos)
      return unknown("can't be compared with what was shipped: its memory can't be read", name);
    const std::vector<uint64_t> different = differences(function, running, probes_);
    if (different.empty()) return std::nullopt;
    return Hook{Bearing::foreign, name,
                fmt::format("isn't the function that was shipped: {} byte{} of it differ{}, first at +{:#x}: {}",
                            different.size(), different.size() == 1 ? "" : "s", different.size() == 1 ? "s" : "",
                            different.front(), beside(function, running, different.front())),
                "something has written to the kernel's code (another patcher, a rootkit): find out what, reboot"};
  }

  const System& system_;
  Memory memory_;
  const OriginalCode& code_;
  Written probes_;
};

// "f3??90" -> bytes and which of them count. False when it is something else.
bool read_bytes(string_view text, OriginalFunction& function) {
  if (text.size() % 2 != 0 || text.size() / 2 > most_code) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const bool compared = text.substr(i, 2) != "??";
    unsigned value = 0;
    if (compared) {
      const auto [end, problem] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
      if (problem != std::errc() || end != text.data() + i + 2) return false;
    }
    function.code.push_back(static_cast<char>(value));
    function.compared.push_back(compared);
  }
  return !function.code.empty();
}

std::string string_of(const json& value, const char* name) {
  const auto found = value.find(name);
  return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<OriginalFunction> function_in(const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  OriginalFunction function;
  function.function = {string_of(entry, "object"), string_of(entry, "name")};
  function.section = string_of(entry, "section");
  // They become a part of paths.
  for (const std::string& part : {function.function.object, function.section})
    if (part.find('/') != std::string::npos) return std::nullopt;
  const auto address = entry.find("address"), calls = entry.find("calls");
  if (address == entry.end() || !address->is_number_unsigned()) return std::nullopt;
  function.address = address->get<uint64_t>();
  if (function.function.object.empty() || function.function.name.empty() ||
      !read_bytes(string_of(entry, "code"), function))
    return std::nullopt;
  if (calls != entry.end() && calls->is_array())
    for (const json& at : *calls)
      if (at.is_number_unsigned() && at.get<uint64_t>() < function.code.size())
        function.calls.push_back(at.get<uint64_t>());
  return function;
}

}  // namespace

std::optional<OriginalCode> original_code_of(string_view note) {
  Elf64_Nhdr header{};
  if (note.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, note.data(), sizeof header);
  const uint64_t contents = sizeof header + (uint64_t{header.n_namesz} + 3) / 4 * 4;
  constexpr uint32_t code_note = 2;
  if (header.n_type != code_note || contents > note.size() || header.n_descsz > note.size() - contents)
    return std::nullopt;
  const string_view text = note.substr(contents, header.n_descsz);
  const json value = json::parse(text.begin(), text.end(), nullptr, false);
  if (!value.is_object()) return std::nullopt;
  const auto version = value.find("version"), functions = value.find("functions");
  if (version == value.end() || *version != json(1) || functions == value.end() || !functions->is_array())
    return std::nullopt;
  OriginalCode code;
  code.build_id = string_of(value, "build_id");
  for (const json& entry : *functions) {
    auto function = function_in(entry);
    if (!function) return std::nullopt;
    code.functions.push_back(std::move(*function));
  }
  return code;
}

std::vector<Hook> foreign_code(System& system, const ModuleFile& module) {
  if (module.code_note.empty()) return {};
  const auto code = original_code_of(module.code_note);
  if (!code) return {{Bearing::unknown, "", "what the livepatch says of the code that it was made for is damaged", {}}};
  for (int looks = 1;; ++looks) {
    std::vector<Hook> found = Comparison(system, *code).run();
    const bool written = std::ranges::any_of(
        found, [](const Hook& hook) { return hook.bearing == Bearing::foreign && !hook.function.empty(); });
    if (!written || looks == most_looks) return found;
    system.sleep(pause);
  }
}

}  // namespace kpatch
