// The proof compares source and shipped file. That the shipped file is what runs only the machine itself can see, in
// /proc/kcore, and there code lawfully differs from the file:
//
//     <meminfo_proc_show>           in vmlinux        in memory
//     endbr64                       f3 0f 1e fa       f3 0f 1e fa    or a NOP, where nobody takes its address
//     call __fentry__               e8 a7 53 d5 ff    0f 1f 44 00 00 or a call, as ftrace likes
//     mov $0xffffffff8262741b,%rsi  48 c7 c6 1b 74 62 82   48 c7 c6 1b 74 82 9e    KASLR moved it
//     ret                           e9 x x x x        c3 cc cc cc cc returns go by a thunk, or not
//
// Each of these places stands in a table of the file, by which the kernel itself finds it; what moves with the image is
// found by decoding. The rest has to be equal. Of a module, whose code is relocated when it is loaded, every relocated
// field is left out as well.
//
// A digest would do to tell that something differs, but not where, and a call that some kernels lead a few bytes further
// back couldn't be compared: the bytes themselves go along. They are in a section of the file that the kernel doesn't load.
#include "klp/shipped-code.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "arch/running.h"
#include "elf/elf.h"
#include "klp/content.h"
#include "support/bytes.h"
#include "support/error.h"

namespace kpatch {
namespace {

constexpr std::string_view note_section = ".note.kpatch.code";
constexpr uint32_t note_type = 2;

// Of a vmlinux, whose sections lie at addresses.
std::span<const std::byte> bytes_at(const Binary& vmlinux, uint64_t begin, uint64_t end) {
  for (const BinarySection& section : vmlinux.sections()) {
    if ((section.flags & SHF_ALLOC) == 0 || section.bytes.empty() || begin < section.address) continue;
    const uint64_t offset = begin - section.address;
    if (offset <= section.bytes.size() && end >= begin && end - begin <= section.bytes.size() - offset)
      return section.bytes.subspan(offset, end - begin);
  }
  return {};
}

std::optional<uint64_t> address_of(const Binary& vmlinux, std::string_view name) {
  const auto found = vmlinux.named(name);
  if (found.empty()) return std::nullopt;
  return vmlinux.symbols()[found.front()].value;
}

bool is_called(const RewrittenCode& table, std::string_view section) {
  return table.prefix ? section.starts_with(table.table) : section == table.table;
}

}  // namespace

ShippedCode::ShippedCode(const Binary& shipped, std::string object, const LoaderModel& model)
    : shipped_(shipped),
      object_(std::move(object)),
      arch_(find_arch(shipped.machine())),
      running_(find_running_facts(shipped.machine())) {
  if (arch_ == nullptr || running_ == nullptr || arch_->audit == nullptr || arch_->proof == nullptr) return;
  if (std::ranges::any_of(shipped.sections(), [&](const BinarySection& s) { return s.name == running_->not_with; })) {
    running_ = nullptr;
    return;
  }
  if (!shipped.relocatable())
    image_ = {address_of(shipped, "_text").value_or(0), address_of(shipped, "_end").value_or(UINT64_MAX)};
  for (const RewrittenCode& table : running_->rewritten) {
    uint64_t size = table.entry_size;
    if (const LoaderSection* known = model.section(table.table); size == 0 && known != nullptr)
      size = model.entry_size(*known);
    if (size != 0) read(table, size);
  }
  const auto key = [](const Place& place) { return std::tie(place.section, place.at); };
  std::ranges::sort(places_, [&](const Place& a, const Place& b) { return key(a) < key(b); });
}

void ShippedCode::read(const RewrittenCode& table, uint64_t entry_size) {
  const bool big = arch_->elf.big_endian;
  const auto each = [&](std::span<const std::byte> bytes, uint64_t address) {
    for (uint64_t at = 0; at + table.width <= bytes.size(); at += entry_size) {
      const uint64_t value = number_of(bytes.subspan(at, table.width), big);
      if (value == 0) continue;
      const uint64_t place =
          table.width == 8 ? value : address + at + static_cast<uint64_t>(static_cast<int32_t>(value));
      add(table, bytes.subspan(at, std::min<uint64_t>(entry_size, bytes.size() - at)), 0, place);
    }
  };
  if (!shipped_.relocatable() && !table.start.empty()) {
    const auto start = address_of(shipped_, table.start), stop = address_of(shipped_, table.stop);
    if (start && stop) each(bytes_at(shipped_, *start, *stop), *start);
    return;
  }
  for (uint32_t i = 0; i < shipped_.sections().size(); ++i) {
    const BinarySection& section = shipped_.sections()[i];
    if (!is_called(table, section.name) || section.bytes.empty()) continue;
    if (!shipped_.relocatable()) {
      each(section.bytes, section.address);
      continue;
    }
    for (const BinaryRelocation& relocation : shipped_.relocations(i)) {
      const uint64_t in_entry = relocation.offset % entry_size;
      if (in_entry != 0 || relocation.symbol >= shipped_.symbols().size() || relocation.offset >= section.bytes.size())
        continue;
      const BinarySymbol& symbol = shipped_.symbols()[relocation.symbol];
      const auto rest = section.bytes.subspan(relocation.offset);
      add(table, rest.first(std::min<uint64_t>(entry_size, rest.size())), symbol.section,
          symbol.value + static_cast<uint64_t>(relocation.addend));
    }
  }
}

void ShippedCode::add(const RewrittenCode& table, std::span<const std::byte> entry, uint32_t section, uint64_t at) {
  Place place{section, at, table.length, table.calls};
  if (table.kind == RewrittenCode::Length::instruction) place.length = 0;
  if (table.kind == RewrittenCode::Length::told) {
    const uint64_t where = entry.size() == table.larger ? table.length_of_larger : table.length;
    if (where >= entry.size()) return;
    place.length = std::to_integer<uint64_t>(entry[where]);
    if (place.length == 0) return;
  }
  places_.push_back(place);
}

// begin: of the function, in the place's section.
void ShippedCode::skip(ShippedFunction& function, const Place& place, uint64_t begin) const {
  const std::span<const std::byte> code = function.code;
  const uint64_t at = place.at - begin;
  uint64_t length = place.length;
  if (length == 0) length = arch_->audit->instruction_length(code, at);
  length = std::min<uint64_t>(std::max<uint64_t>(length, 1), code.size() - at);
  if (!place.call)
    std::fill_n(function.compared.begin() + static_cast<long>(at), length, false);
  else if (length > 4 && arch_->audit->is_direct_call(code, at))
    function.calls.push_back(at + length - 4);
}

std::optional<ShippedFunction> ShippedCode::function(uint32_t index) const {
  const BinarySymbol& symbol = shipped_.symbols()[index];
  const std::span<const std::byte> code = shipped_.contents(symbol);
  if (arch_ == nullptr || running_ == nullptr || code.empty()) return std::nullopt;
  ShippedFunction function{object_, std::string(symbol.name), {}, symbol.value, {}, {}, {}};
  function.code.assign(code.begin(), code.end());
  function.compared.assign(code.size(), true);
  const bool relocatable = shipped_.relocatable();
  if (relocatable) function.section = shipped_.section_name(symbol.section);
  const uint32_t section = relocatable ? symbol.section : 0;
  const auto first = std::ranges::lower_bound(places_, std::pair(section, symbol.value), {},
                                              [](const Place& p) { return std::pair(p.section, p.at); });
  for (auto it = first; it != places_.end() && it->section == section && it->at < symbol.value + code.size(); ++it)
    skip(function, *it, symbol.value);
  std::vector<CodeRange> fields;
  if (relocatable) {
    for (const BinaryRelocation& relocation : shipped_.relocations(symbol.section)) {
      if (relocation.offset < symbol.value || relocation.offset >= symbol.value + code.size()) continue;
      const auto field = arch_->proof->field(relocation.type);
      const uint64_t at = relocation.offset - symbol.value;
      fields.push_back({at, at + (field ? field->width : 8)});
    }
  } else {
    running_->moving_fields(code, symbol.value, image_, fields);
  }
  for (const CodeRange& field : fields)
    for (uint64_t at = field.begin; at < std::min<uint64_t>(field.end, code.size()); ++at)
      function.compared[at] = false;
  // A call that is left out as a whole isn't compared by its distance either.
  std::erase_if(function.calls, [&](uint64_t at) { return !function.compared[at]; });
  return function;
}

void write_shipped_code(const std::filesystem::path& module, std::string_view build_id,
                        std::span<const ShippedFunction> functions) {
  if (functions.empty()) return;
  nlohmann::json list = nlohmann::json::array();
  for (const ShippedFunction& function : functions) {
    std::string code;
    for (size_t i = 0; i < function.code.size(); ++i)
      code += function.compared[i] ? fmt::format("{:02x}", std::to_integer<unsigned>(function.code[i])) : "??";
    nlohmann::json entry = {
        {"object", function.object}, {"name", function.name}, {"address", function.address}, {"code", code}};
    if (!function.section.empty()) entry["section"] = function.section;
    if (!function.calls.empty()) entry["calls"] = function.calls;
    list.push_back(std::move(entry));
  }
  const std::string text =
      nlohmann::json{{"version", 1}, {"build_id", build_id}, {"functions", std::move(list)}}.dump();
  KlpElf elf = KlpElf::read(module);
  KlpSection note;
  note.name = note_section;
  note.header.sh_type = SHT_NOTE;
  note.header.sh_addralign = 4;
  constexpr std::string_view owner("kpatch\0\0", 8);
  for (const uint64_t number : {uint64_t{7}, uint64_t{text.size()}, uint64_t{note_type}})
    append_number(note.bytes, number, 4, elf.big_endian());
  for (const char c : owner) note.bytes.push_back(static_cast<std::byte>(c));
  for (const char c : text) note.bytes.push_back(static_cast<std::byte>(c));
  while (note.bytes.size() % 4 != 0) note.bytes.push_back({});
  if (const auto old = elf.find_section(note_section))
    elf.sections[*old].bytes = std::move(note.bytes);
  else
    elf.sections.push_back(std::move(note));  // behind all others, whose numbers stay
  elf.write(module);
}

void add_shipped_code(const std::filesystem::path& module, const Binary& vmlinux, const LoaderModel& model,
                      const std::function<const Binary*(std::string_view)>& open_module) {
  const LivepatchContent content = content_of(KlpElf::read(module));
  std::map<std::string, ShippedCode> shipped;
  std::vector<ShippedFunction> functions;
  for (const ContentFunction& wanted : content.functions) {
    const Binary* binary = wanted.object == "vmlinux" ? &vmlinux : open_module(wanted.object);
    if (binary == nullptr) continue;
    const auto [it, fresh] = shipped.try_emplace(wanted.object, *binary, wanted.object, model);
    const auto symbols = binary->named(wanted.name);
    const size_t position = wanted.sympos == 0 ? 0 : wanted.sympos - 1;
    if (position >= symbols.size()) continue;
    if (auto function = it->second.function(symbols[position])) functions.push_back(std::move(*function));
  }
  write_shipped_code(module, vmlinux.build_id(), functions);
}

}  // namespace kpatch
