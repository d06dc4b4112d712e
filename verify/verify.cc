// The audit (klp/audit.h) judges any livepatch; here is what is known of a module before, and what can't be known:
//
//   livepatch-fix.ko: a livepatch for 6.12.117+deb12-cloud-amd64, made by kpatch-build
//     replaces    vmlinux: meminfo_proc_show
//     signature   none
//     judged for  6.12.117+deb12-cloud-amd64
//   nothing speaks against it
//
// A module of kpatch-build is held to all that it promises, since a stranger may have changed it afterwards. For that
// the kernel's files must be there: without them its tables are judged as everybody's.
#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "elf/elf.h"
#include "klp/klp.h"
#include "support/text.h"

namespace kpatch {

namespace fs = std::filesystem;

namespace {

std::span<const std::byte> modinfo_of(const KlpElf& elf) {
  const auto section = elf.find_section(".modinfo");
  return section ? std::span<const std::byte>(elf.sections[*section].bytes) : std::span<const std::byte>();
}

std::string first_value(const KlpElf& elf, std::string_view key) {
  const auto values = modinfo_values(modinfo_of(elf), key);
  return values.empty() ? std::string() : std::string(values.front());
}

// kernel: struct module_signature of include/linux/module_signature.h, before the text at the very end; the signature
// itself stands before it.
std::string signature_of(std::string_view file, std::vector<Finding>& findings) {
  constexpr std::string_view mark = "~Module signature appended~\n";
  if (!file.ends_with(mark)) return "none";
  file.remove_suffix(mark.size());
  const auto bad = [&](std::string message) {
    findings.push_back({"signature", Severity::error, {}, std::move(message), {}});
    return std::string("damaged");
  };
  constexpr size_t size = 12;
  if (file.size() < size) return bad("a module signature is announced, and nothing is there");
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(file[file.size() - size + i]); };
  const uint64_t length = uint64_t{byte(8)} << 24 | uint64_t{byte(9)} << 16 | uint64_t{byte(10)} << 8 | byte(11);
  if (byte(2) != 2)
    return bad(fmt::format("its signature is of type {}, and the kernel reads PKCS#7 (2) alone", byte(2)));
  // kernel/module_signature.c, mod_check_sig(): EBADMSG, whether or not signatures are demanded.
  for (size_t i = 0; i < 8; ++i)
    if (i != 2 && byte(i) != 0)
      return bad(fmt::format("byte {} of its signature's description is {}, and the kernel wants 0", i, byte(i)));
  if (length == 0 || length >= file.size() - size)
    return bad(fmt::format("its signature is said to have {} bytes, more than the file", length));
  return fmt::format("PKCS#7, {} bytes", length);
}

std::string count(size_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

// What the audit can't ask, of a module that names things outside of itself.
std::vector<std::string> unchecked(const KlpElf& elf, const VerifyKernel& kernel) {
  const auto number = [&](auto has) {
    return static_cast<size_t>(std::count_if(elf.symbols.begin(), elf.symbols.end(), has));
  };
  const size_t late = number([](const KlpSymbol& s) { return s.entry.st_shndx == shn_livepatch; });
  const size_t needed = number([](const KlpSymbol& s) { return s.entry.st_shndx == SHN_UNDEF && !s.name.empty(); });
  std::vector<std::string> list;
  if (kernel.vmlinux == nullptr) {
    list.emplace_back(
        "no vmlinux: whether what it replaces is there, unique and traced by ftrace, the sizes of table entries, "
        "landing "
        "pads, unwind tables");
    if (late != 0) list.push_back(fmt::format("no vmlinux: what {} mean", count(late, "klp symbol")));
  } else if (!kernel.open_module) {
    list.emplace_back("no modules: what is replaced in modules, and their symbols");
  }
  if (kernel.symvers == nullptr)
    list.push_back(fmt::format("no Module.symvers: whether {} exported, and with these CRCs",
                               needed == 1 ? "1 symbol is" : fmt::format("{} symbols are", needed)));
  list.emplace_back("what the code does: that takes its source, or a test in the kernel");
  return list;
}

// The absence of modules is no fault of the livepatch where nobody could name them.
void drop_unknown_modules(std::vector<Finding>& findings, const VerifyKernel& kernel) {
  if (kernel.open_module) return;
  std::erase_if(findings, [](const Finding& f) {
    return f.rule == "module" && f.message.ends_with("is not among the shipped modules");
  });
}

}  // namespace

bool LivepatchVerdict::good() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.severity == Severity::error; });
}

LivepatchVerdict verify(const fs::path& module, const VerifyKernel& kernel) {
  const FileBytes file = FileBytes::read(module);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const KlpElf elf = KlpElf::read(module);
  LivepatchVerdict verdict;
  verdict.signature = signature_of(bytes, verdict.findings);
  verdict.name = first_value(elf, "name");
  const std::string vermagic = first_value(elf, "vermagic");
  verdict.release = vermagic.substr(0, vermagic.find(' '));
  const PatchTables tables = read_patch_tables(elf);
  verdict.functions = replacements_of(elf, tables);
  verdict.maker = name_of(tables.form);

  AuditInput input;
  input.module = module;
  input.release = kernel.release.empty() ? verdict.release : kernel.release;
  input.vermagic = kernel.vermagic;
  input.vmlinux = kernel.vmlinux;
  input.symvers = kernel.symvers;
  input.open_module = kernel.open_module;
  input.ours = kernel.vmlinux != nullptr && kernel.symvers != nullptr && !first_value(elf, "kpatch_version").empty();
  std::vector<Finding> found = audit(input);
  drop_unknown_modules(found, kernel);
  verdict.findings.insert(verdict.findings.end(), std::make_move_iterator(found.begin()),
                          std::make_move_iterator(found.end()));
  if (kernel.vmlinux != nullptr) verdict.kernel = input.release;
  verdict.unchecked = unchecked(elf, kernel);
  return verdict;
}

std::string text_of(const LivepatchVerdict& v, const fs::path& module) {
  std::string text = fmt::format("{}: for {}, tables of {}\n", module.filename().string(),
                                 v.release.empty() ? "no kernel that it names" : v.release, v.maker);
  std::map<std::string, std::vector<std::string>> objects;
  for (const Replacement& f : v.functions)
    objects[f.object].push_back(f.sympos < 2 ? f.name : fmt::format("{},{}", f.name, f.sympos));
  for (const auto& [object, names] : objects)
    text += fmt::format("  replaces     {}: {}\n", object, joined(names, ", "));
  text += fmt::format("  signature    {}\n", v.signature);
  text += fmt::format("  judged for   {}\n", v.kernel.empty() ? "no kernel, by the file alone" : v.kernel);
  for (const std::string& sentence : v.unchecked) text += fmt::format("  not checked  {}\n", sentence);
  for (const Finding& finding : v.findings) text += text_of(finding) + "\n";
  const auto errors = static_cast<size_t>(std::count_if(
      v.findings.begin(), v.findings.end(), [](const Finding& f) { return f.severity == Severity::error; }));
  return text + (errors == 0 ? "nothing speaks against it" : fmt::format("{} against it", count(errors, "thing")));
}

nlohmann::json to_json(const LivepatchVerdict& v, const fs::path& module) {
  nlohmann::json functions = nlohmann::json::array(), findings = nlohmann::json::array();
  for (const Replacement& f : v.functions)
    functions.push_back({{"object", f.object}, {"name", f.name}, {"sympos", f.sympos}, {"by", f.by}});
  for (const Finding& finding : v.findings) findings.push_back(to_json(finding));
  return {{"version", 1},
          {"module", module.filename().string()},
          {"name", v.name},
          {"release", v.release},
          {"tables", v.maker},
          {"kernel", v.kernel.empty() ? nlohmann::json() : nlohmann::json(v.kernel)},
          {"signature", v.signature},
          {"functions", std::move(functions)},
          {"unchecked", v.unchecked},
          {"findings", std::move(findings)},
          {"good", v.good()}};
}

}  // namespace kpatch
