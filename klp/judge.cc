// Judging finished modules again, without building them again.
#include "klp/judge.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/files.h"

namespace kpatch {

namespace fs = std::filesystem;

Judge::Judge(const fs::path& inputs) {
  const nlohmann::json json = nlohmann::json::parse(read_file(inputs), nullptr, false);
  if (!json.is_object()) throw Error(fmt::format("'{}': no JSON object", inputs.string()));
  const fs::path folder = inputs.parent_path();
  try {
    module_ = folder / json.at("module").get<std::string>();
    name_ = json.at("name");
    release_ = json.at("release");
    modules_ = std::make_unique<ModuleFolder>(json.at("modules").get<std::string>());
    vmlinux_ = std::make_unique<Binary>(Binary::open(json.at("vmlinux").get<std::string>()));
    symvers_ = Symvers::read(json.at("symvers").get<std::string>());
    for (const auto& object : json.at("objects"))
      objects_.push_back({folder / object.at("file").get<std::string>(), object.at("owner")});
  } catch (const nlohmann::json::exception& problem) {
    throw Error(fmt::format("'{}': {}", inputs.string(), problem.what()));
  }
}

std::vector<Finding> Judge::judge(const fs::path& module) {
  AuditInput input;
  input.module = module;
  input.name = name_;
  input.release = release_;
  input.vermagic = modules_->vermagic();
  input.vmlinux = vmlinux_.get();
  input.symvers = &symvers_;
  input.open_module = [this](std::string_view owner) { return modules_->named(owner); };
  std::vector<Finding> findings = audit(input);
  std::vector<Finding> more = check_delivery(input, objects_);
  findings.insert(findings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return findings;
}

}  // namespace kpatch
