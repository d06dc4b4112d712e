#include "lookup/modinfo.h"

#include "lookup/module-names.h"
#include "support/text.h"

namespace kpatch {

std::vector<std::string_view> modinfo_values(std::span<const std::byte> modinfo, std::string_view key) {
  std::vector<std::string_view> values;
  const std::string_view all(reinterpret_cast<const char*>(modinfo.data()), modinfo.size());
  for (const std::string_view text : fields_of(all, '\0'))
    if (text.size() > key.size() && text.starts_with(key) && text[key.size()] == '=')
      values.push_back(text.substr(key.size() + 1));
  return values;
}

std::optional<std::set<std::string>> direct_dependencies(const Binary& module) {
  for (const BinarySection& section : module.sections()) {
    if (section.name != ".modinfo" || section.bytes.empty()) continue;
    std::set<std::string> names;
    for (const std::string_view list : modinfo_values(section.bytes, "depends"))
      for (const std::string_view name : fields_of(list, ','))
        if (!name.empty()) names.insert(module_name_of(name));
    return names;
  }
  return std::nullopt;
}

std::set<std::string> dependencies(const Binary& module, const std::function<const Binary*(std::string_view)>& open) {
  std::set<std::string> all;
  std::vector<const Binary*> open_ends = {&module};
  while (!open_ends.empty()) {
    const Binary* next = open_ends.back();
    open_ends.pop_back();
    for (const std::string& name : direct_dependencies(*next).value_or(std::set<std::string>()))
      if (all.insert(name).second)
        if (const Binary* found = open(name)) open_ends.push_back(found);
  }
  return all;
}

}  // namespace kpatch
