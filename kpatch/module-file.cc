// The few things of an ELF file that are asked for before the kernel gets it. elf.h is the C library's; libelf would be
// one more thing to have on every machine.
#include "kpatch/module-file.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <optional>

#include "support/error.h"
#include "support/files.h"
#include "support/text.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string_view;

constexpr string_view signature_magic = "~Module signature appended~\n";  // include/linux/module_signature.h

// What lies there; nothing where the file is too short.
template <typename T>
std::optional<T> record(string_view file, uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

string_view part(string_view file, uint64_t offset, uint64_t size) {
  if (offset > file.size() || file.size() - offset < size) return {};
  return file.substr(offset, size);
}

std::optional<Elf64_Shdr> section_header(string_view file, const Elf64_Ehdr& header, uint64_t index) {
  return record<Elf64_Shdr>(file, header.e_shoff + index * sizeof(Elf64_Shdr));
}

// The bytes of the section; empty when there is none.
string_view section(string_view file, const Elf64_Ehdr& header, string_view wanted) {
  const auto at = [&](uint64_t index) { return section_header(file, header, index); };
  const auto strings = at(header.e_shstrndx);
  if (!strings) return {};
  const string_view names = part(file, strings->sh_offset, strings->sh_size);
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const auto entry = at(i);
    if (!entry || entry->sh_name >= names.size()) continue;
    const string_view name = names.substr(entry->sh_name);
    if (name.substr(0, name.find('\0')) != wanted) continue;
    return entry->sh_type == SHT_NOBITS ? string_view() : part(file, entry->sh_offset, entry->sh_size);
  }
  return {};
}

std::string build_id_of(string_view note) {
  const auto header = record<Elf64_Nhdr>(note, 0);
  if (!header) return {};
  const uint64_t name = (uint64_t{header->n_namesz} + 3) / 4 * 4;
  return std::string(part(note, sizeof(Elf64_Nhdr) + name, header->n_descsz));
}

// The text that a symbol with an addend stands for, which lies in a section.
std::string text_at(string_view file, const Elf64_Ehdr& header, const Elf64_Sym& symbol, int64_t addend) {
  const auto home = section_header(file, header, symbol.st_shndx);
  if (!home) return {};
  const string_view bytes = part(file, home->sh_offset, home->sh_size);
  const uint64_t at = symbol.st_value + static_cast<uint64_t>(addend);
  if (at >= bytes.size()) return {};
  const string_view rest = bytes.substr(at);
  return std::string(rest.substr(0, rest.find('\0')));
}

// Of our modules: .kpatch.funcs (doc/formats.md), whose entries name a function and its object by relocations.
std::vector<HookedFunction> functions_in(string_view file, const Elf64_Ehdr& header) {
  constexpr uint64_t entry = 32, name = 8, object = 16;
  const string_view table = section(file, header, ".kpatch.funcs");
  const string_view relocations = section(file, header, ".rela.kpatch.funcs");
  string_view symbols;
  for (unsigned i = 0; i < header.e_shnum; ++i)
    if (const auto section = section_header(file, header, i); section && section->sh_type == SHT_SYMTAB)
      symbols = part(file, section->sh_offset, section->sh_size);
  if (table.size() % entry != 0) return {};
  std::vector<HookedFunction> functions(table.size() / entry);
  for (uint64_t at = 0; at < relocations.size(); at += sizeof(Elf64_Rela)) {
    const auto relocation = record<Elf64_Rela>(relocations, at);
    if (!relocation || relocation->r_offset >= table.size()) return {};
    const auto symbol = record<Elf64_Sym>(symbols, ELF64_R_SYM(relocation->r_info) * sizeof(Elf64_Sym));
    if (!symbol) return {};
    HookedFunction& function = functions[relocation->r_offset / entry];
    const uint64_t field = relocation->r_offset % entry;
    if (field == name) function.name = text_at(file, header, *symbol, relocation->r_addend);
    if (field == object) function.object = text_at(file, header, *symbol, relocation->r_addend);
  }
  // Another builder's table of that name has other entries.
  if (std::ranges::any_of(functions, [](const auto& f) { return f.name.empty() || f.object.empty(); })) return {};
  return functions;
}

bool has_code(string_view file, const Elf64_Ehdr& header) {
  for (unsigned i = 0; i < header.e_shnum; ++i)
    if (const auto entry = section_header(file, header, i);
        entry && (entry->sh_flags & SHF_EXECINSTR) != 0 && entry->sh_type != SHT_NOBITS && entry->sh_size > 0)
      return true;
  return false;
}

std::optional<Elf64_Ehdr> own_header() {
  std::array<char, sizeof(Elf64_Ehdr)> bytes{};
  std::ifstream("/proc/self/exe", std::ios::binary).read(bytes.data(), bytes.size());
  return record<Elf64_Ehdr>({bytes.data(), bytes.size()}, 0);
}

void require_plain(const fs::path& path, string_view file) {
  const std::pair<string_view, const char*> kinds[] = {{"\x1f\x8b", "gzip -dk"},
                                                       {"\xfd"
                                                        "7zXZ",
                                                        "xz -dk"},
                                                       {"\x28\xb5\x2f\xfd", "zstd -d"}};
  for (const auto& [magic, command] : kinds)
    if (file.starts_with(magic))
      throw Error(fmt::format("{}: it is compressed; unpack it first: {} {}", path.string(), command, path.string()));
}

}  // namespace

std::string module_name(string_view text) {
  std::string name(text);
  std::ranges::replace(name, '-', '_');
  return name;
}

void require_livepatch(const ModuleFile& module) {
  const std::string file = module.path.string();
  if (!module.livepatch) throw Error(fmt::format("{}: it is no livepatch", file));
  if (file.ends_with(".debug") || !module.has_code)
    throw Error(fmt::format("{}: it is the debug information of {}, and not the livepatch", file, module.name));
}

std::vector<std::string> ModuleFile::fixes() const {
  std::vector<std::string> fixes;
  for (const auto& [key, value] : info)
    if (key == "kpatch_fixes") fixes.push_back(value);
  return fixes;
}

ModuleFile read_module(const fs::path& path) {
  if (fs::is_directory(path)) throw Error(fmt::format("{}: it is a folder", path.string()));
  const std::string file = read_file(path);
  require_plain(path, file);
  const auto header = record<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_type != ET_REL)
    throw Error(fmt::format("{}: it is no kernel module", path.string()));
  // The machine is what this program is for.
  const auto own = own_header();
  const bool fits =
      own && std::memcmp(own->e_ident, header->e_ident, EI_OSABI) == 0 && own->e_machine == header->e_machine;
  if (!fits) throw Error(fmt::format("{}: it is for another architecture", path.string()));
  ModuleFile module;
  module.path = path;
  for (const string_view entry : fields_of(section(file, *header, ".modinfo"), '\0')) {
    const size_t equals = entry.find('=');
    if (equals == string_view::npos) continue;
    const std::string key(entry.substr(0, equals)), value(entry.substr(equals + 1));
    if (key == "name") module.name = module_name(value);
    if (key == "livepatch") module.livepatch = value == "Y";
    if (key == "vermagic") module.release = value.substr(0, value.find(' '));
    module.info.emplace_back(key, value);
  }
  module.has_code = has_code(file, *header);
  if ((module.name.empty() || module.release.empty()) && !module.has_code)
    throw Error(
        fmt::format("{}: it is no whole kernel module: it has no code; is it debug information?", path.string()));
  if (module.name.empty() || module.release.empty())
    throw Error(fmt::format("{}: it is no whole kernel module: .modinfo has no name or no vermagic", path.string()));
  // It becomes a part of paths, and is written to terminals.
  if (!std::ranges::all_of(module.name,
                           [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }))
    throw Error(fmt::format("{}: the name in its .modinfo is no module's", path.string()));
  module.build_id = build_id_of(section(file, *header, ".note.gnu.build-id"));
  for (const string_view compiler : fields_of(section(file, *header, ".comment"), '\0'))
    if (!compiler.empty() && std::ranges::count(module.compilers, compiler) == 0)
      module.compilers.emplace_back(compiler);
  module.code_note = section(file, *header, ".note.kpatch.code");
  module.functions = functions_in(file, *header);
  module.is_signed = string_view(file).ends_with(signature_magic);
  return module;
}

}  // namespace kpatch
