// Would the module loader take it, at any time, whatever else is loaded?
//
//   livepatch=Y                                        else the kernel ignores klp relocations
//   depends=                                           a named module would be loaded before, and late loading be lost
//   vermagic=6.12.117+deb12-cloud-amd64 SMP preempt …  compared as a whole with the kernel's
//   __versions: 122c3a7e _printk                       compared with the CRC in the kernel, symbol by symbol
//
// An undefined weak symbol that nobody exports is no error for the loader, it becomes 0; here it is one.
#include <algorithm>

#include <fmt/format.h>

#include "klp/audit-parts.h"
#include "lookup/lookup.h"

namespace kpatch {

namespace {

bool leftover(std::string_view name) {
  if (name.starts_with(".comment.kpatch")) return true;
  if (!name.starts_with(".kpatch")) return false;
  return name != ".kpatch.funcs" && name != ".kpatch.objects" && name != ".kpatch.strings" &&
         name != attempts_section && !name.starts_with(".kpatch.callbacks.");
}

class ModuleAudit {
 public:
  explicit ModuleAudit(AuditContext& context) : c_(context), elf_(context.elf) {}

  void run() {
    if (auto section = elf_.find_section(".modinfo")) modinfo_ = elf_.sections[*section].bytes;
    check_modinfo_section();
    check_modinfo();
    check_symtab();
    check_sections();
    read_versions();
    read_extended_versions();
    check_symbols();
  }

 private:
  std::optional<std::string_view> one(std::string_view key) {
    auto values = modinfo_values(modinfo_, key);
    if (values.size() == 1) return values[0];
    c_.find_in("modinfo", {.section = ".modinfo"},
               values.empty() ? fmt::format("'{}' is missing", key)
                              : fmt::format("'{}' is there {} times", key, values.size()));
    return std::nullopt;
  }

  // kernel: get_modinfo reads one section, before 6.12 one that is allocated (find_sec).
  void check_modinfo_section() {
    unsigned there = 0;
    for (const KlpSection& section : elf_.sections) {
      if (section.name != ".modinfo") continue;
      ++there;
      if (!section.allocated())
        c_.find_in("modinfo", {.section = ".modinfo"}, "isn't allocated, so that older kernels don't find it");
    }
    if (there > 1)
      c_.find_in("modinfo", {.section = ".modinfo"}, fmt::format("is there {} times, the kernel reads one", there));
  }

  void check_symtab() {
    const auto tables = std::count_if(elf_.sections.begin(), elf_.sections.end(),
                                      [](const auto& section) { return section.header.sh_type == SHT_SYMTAB; });
    if (tables > 1) c_.find("symbols", fmt::format("it has {} symbol tables, and the loader takes one", tables));
  }

  void check_modinfo() {
    if (auto value = one("livepatch"); value && *value != "Y")
      c_.find_in("modinfo", {.section = ".modinfo"}, fmt::format("livepatch={}", *value));
    if (auto value = one("depends"); value && !value->empty())
      c_.object_to("modinfo", {.section = ".modinfo"},
                   fmt::format("depends={}: loading the livepatch would load that module", *value));
    if (auto value = one("vermagic")) check_vermagic(*value);
    if (auto value = one("license"); value && !value->starts_with("GPL"))
      c_.find_in("modinfo", {.section = ".modinfo"},
                 fmt::format("license={}: the livepatch interface is for GPL modules", *value));
    const std::string wanted = module_name_of(c_.input.name);
    if (auto value = one("name")) {
      if (!wanted.empty() && *value != wanted)
        c_.find_in("modinfo", {.section = ".modinfo"}, fmt::format("name={}: not {}", *value, wanted));
      if (value->size() > max_object_name)
        c_.find_in("modinfo", {.section = ".modinfo"},
                   fmt::format("name={}: longer than {} characters", *value, max_object_name));
    }
  }

  // kernel: same_magic() of kernel/module/version.c compares them as a whole; with CRCs what follows the release.
  void check_vermagic(std::string_view value) {
    if (value.substr(0, value.find(' ')) != c_.input.release)
      c_.find_in("modinfo", {.section = ".modinfo"},
                 fmt::format("vermagic={}: it was built for another kernel than {}", value, c_.input.release));
    else if (!c_.input.vermagic.empty() && value != c_.input.vermagic)
      c_.find_in("modinfo", {.section = ".modinfo"},
                 fmt::format("vermagic={}: the kernel's own modules have '{}'", value, c_.input.vermagic));
  }

  void check_sections() {
    for (const KlpSection& section : elf_.sections) {
      uint64_t flags = section.header.sh_flags;
      if (c_.input.ours && leftover(section.name))
        c_.find("section", fmt::format("section {} is left over from the build", section.name));
      if (section.allocated() && (flags & SHF_WRITE) != 0 && (flags & SHF_EXECINSTR) != 0)
        c_.find("section", fmt::format("section {} is writable and executable", section.name));
      if (section.allocated() && section.header.sh_type == SHT_REL)
        c_.find("section", fmt::format("section {} holds relocations without addends", section.name));
    }
  }

  // kernel: since 6.14 these go before __versions; only one of them: ENOEXEC.
  void read_extended_versions() {
    auto crcs = elf_.find_section("__version_ext_crcs");
    auto names = elf_.find_section("__version_ext_names");
    if (!crcs && !names) return;
    const char* found = crcs ? "__version_ext_crcs" : "__version_ext_names";
    if (!crcs || !names)
      return c_.find_in("version", {.section = found}, "the other one of its pair is missing: the kernel refuses it");
    if (!c_.loader.reads_extended_versions())
      return c_.find_in("version", {.section = found}, "this kernel doesn't read it");
    const KlpSection& numbers = elf_.sections[*crcs];
    uint64_t at = 0;
    size_t count = 0;
    for (; at < elf_.sections[*names].bytes.size(); ++count) {
      auto name = elf_.string_at({*names, at});
      if (!name || numbers.bytes.size() < (count + 1) * 4) break;
      versions_[std::string(*name)] = elf_.u32_at(numbers, count * 4);
      at += name->size() + 1;
    }
    if (at != elf_.sections[*names].bytes.size() || count * 4 != numbers.bytes.size())
      c_.find_in("version", {.section = "__version_ext_names"}, "has not as many names as there are CRCs");
  }

  void read_versions() {
    auto index = elf_.find_section("__versions");
    if (!index) return;
    const KlpSection& section = elf_.sections[*index];
    constexpr uint64_t size = 64;  // struct modversion_info: an unsigned long and a name
    if (section.bytes.size() % size != 0)
      c_.find_in("version", {.section = "__versions"}, "no whole number of entries");
    for (uint64_t at = 0; at + size <= section.bytes.size(); at += size) {
      auto name = elf_.string_at({*index, at + 8});
      if (!name || name->size() >= size - 8) {
        c_.find_in("version", {.section = "__versions", .offset = at}, "its name does not end");
        continue;
      }
      versions_[std::string(*name)] = elf_.u64_at(section, at);
    }
  }

  void check_symbols() {
    for (uint32_t i = 1; i < elf_.symbols.size(); ++i) {
      const KlpSymbol& symbol = elf_.symbols[i];
      if (symbol.entry.st_shndx == SHN_COMMON) c_.find("symbols", fmt::format("{} is a common symbol", symbol.name));
      if (c_.input.symvers != nullptr && symbol.entry.st_shndx == SHN_UNDEF && symbol.name != "_GLOBAL_OFFSET_TABLE_")
        check_undefined(i);
    }
    if (c_.input.symvers == nullptr) return;
    // Stands for the layout of struct module and others; asked for in every module of a kernel with MODVERSIONS.
    if (const Export* layout = c_.input.symvers->find("module_layout"); layout != nullptr && layout->crc != 0)
      check_crc({}, "module_layout", *layout);
  }

  // Where it is used first.
  Location first_use(uint32_t symbol) const {
    for (uint32_t section = 1; section < elf_.sections.size(); ++section)
      for (const AuditedRelocation& relocation : c_.relocations(section))
        if (relocation.raw.symbol == symbol && elf_.sections[section].allocated())
          return c_.location_of(relocation.place);
    return {};
  }

  void check_undefined(uint32_t index) {
    const std::string& name = elf_.symbols[index].name;
    const Export* found = c_.input.symvers->find(name);
    if (found == nullptr)
      return c_.find_in("undefined", first_use(index), fmt::format("{} is undefined, and no kernel export", name));
    if (found->owner != "vmlinux")
      return c_.object_to("undefined", first_use(index),
                          fmt::format("{} is exported by module {}: an ordinary reference would make the livepatch "
                                      "depend on it",
                                      name, found->owner));
    if (!found->name_space.empty()) {
      auto imports = modinfo_values(modinfo_, "import_ns");
      if (std::find(imports.begin(), imports.end(), found->name_space) == imports.end())
        c_.find_in("undefined", first_use(index),
                   fmt::format("{} is in namespace {}, which the module doesn't import", name, found->name_space));
    }
    if (found->crc != 0) check_crc(first_use(index), name, *found);
  }

  void check_crc(const Location& use, const std::string& name, const Export& found) {
    auto version = versions_.find(name);
    if (version == versions_.end())
      c_.find_in("version", use, fmt::format("{} has no CRC in __versions", name));
    else if (version->second != found.crc)
      c_.find_in(
          "version", use,
          fmt::format("{} has CRC 0x{:08x} in __versions, the kernel's is 0x{:08x}", name, version->second, found.crc));
  }

  AuditContext& c_;
  const KlpElf& elf_;
  std::span<const std::byte> modinfo_;
  std::unordered_map<std::string, uint64_t> versions_;
};

}  // namespace

void audit_module(AuditContext& context) { ModuleAudit(context).run(); }

}  // namespace kpatch
