// A bill of materials for a livepatch
//
//     SPDXRef-Livepatch-1   livepatch_fix 6.12.117   PATCH_FOR ──► SPDXRef-Kernel-1   linux 6.12.117
//       │ CONTAINS           SECURITY advisory CVE-2026-1000
//       ▼
//     SPDXRef-File-1        livepatch-fix.ko, SHA1, SHA256   GENERATED_FROM ──► SPDXRef-Input-1-1   fix.patch
//                                                            ◄── BUILD_TOOL_OF  SPDXRef-Input-1-2   compiler
//
// The module itself knows the names of its patches, its builder and its compilers; digests of all that it was made from
// are in the in-toto statement that kpatch-build writes beside it (--provenance). Of what is known without SHA-1 SPDX
// wants packages: it takes files with one alone.
//
// A document's namespace has to be its own for ever, and equal documents shall be equal: it ends with a digest of all that
// is in them. The module's licence is said by MODULE_LICENSE(), whose "GPL" is version 2 and leaves open whether later
// ones are meant (Documentation/process/license-rules.rst): what is certain is stated, and the word told beside it.
//
// Specification: https://spdx.github.io/spdx-spec/v2.3/, its JSON schema, and annex F for references.
#include "kpatch/spdx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "kpatch/events.h"
#include "support/error.h"
#include "support/sha256.h"
#include "support/text.h"
#include "support/unsigned-module.h"

namespace kpatch {
namespace {

using nlohmann::ordered_json;
using std::string_view;

constexpr const char* unknown = "NOASSERTION";

bool is_digest(const std::string& text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<std::string> values(const SpdxModule& module, string_view key) {
  std::vector<std::string> found;
  for (const auto& [name, value] : module.info)
    if (name == key) found.push_back(value);
  return found;
}
std::string value(const SpdxModule& module, string_view key) {
  const std::vector<std::string> found = values(module, key);
  return found.empty() ? "" : found.front();
}

ordered_json checksum(const char* algorithm, const std::string& digest) {
  return {{"algorithm", algorithm}, {"checksumValue", digest}};
}

ordered_json reference(const char* category, const char* type, const std::string& locator) {
  return {{"referenceCategory", category}, {"referenceType", type}, {"referenceLocator", locator}};
}

// An expression of SPDX's for what MODULE_LICENSE() says (include/linux/module.h).
struct License {
  std::string expression;
  std::string text;  // where the expression is a LicenseRef: what stands there
};
License license_of(const std::string& text) {
  if (text.empty()) return {unknown, ""};
  if (text == "GPL" || text == "GPL v2") return {"GPL-2.0-only", ""};
  if (text == "Dual MIT/GPL") return {"MIT OR GPL-2.0-only", ""};
  std::string id;
  for (const char c : text) id += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  return {"LicenseRef-" + id, text};
}

class Writer {
 public:
  explicit Writer(const SpdxDocument& document) : document_(document) {}

  ordered_json run() {
    for (size_t i = 0; i < document_.modules.size(); ++i) add_module(document_.modules[i], std::to_string(i + 1));
    std::vector<std::string> creators = {"Tool: kpatch-" KPATCH_VERSION};
    if (!document_.author.empty()) creators.push_back("Organization: " + document_.author);
    std::vector<std::string> names;
    for (const SpdxModule& module : document_.modules) names.push_back(module.stated.name);
    ordered_json result = {{"spdxVersion", "SPDX-2.3"},
                           {"dataLicense", "CC0-1.0"},
                           {"SPDXID", "SPDXRef-DOCUMENT"},
                           {"name", joined(names, ", ")},
                           {"documentNamespace", ""},
                           {"creationInfo", {{"created", utc(document_.time)}, {"creators", creators}}},
                           {"packages", std::move(packages_)},
                           {"files", std::move(files_)},
                           {"relationships", std::move(relationships_)}};
    if (!licenses_.empty()) result["hasExtractedLicensingInfos"] = std::move(licenses_);
    const std::string all = result.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    result["documentNamespace"] =
        fmt::format("{}{}spdx/{}-{}", document_.publisher,
                    document_.publisher.ends_with('/') || document_.publisher.ends_with(':') ? "" : "/",
                    document_.modules.front().stated.name, uuid_of(document_.publisher + '\n' + all));
    return result;
  }

 private:
  void relate(const std::string& from, const char* how, const std::string& to) {
    relationships_.push_back({{"spdxElementId", from}, {"relationshipType", how}, {"relatedSpdxElement", to}});
  }

  // What is known by its name, and maybe its digest.
  ordered_json& add_package(const std::string& id, const std::string& name) {
    packages_.push_back({{"SPDXID", id}, {"name", name}, {"downloadLocation", unknown}, {"filesAnalyzed", false}});
    return packages_.back();
  }

  std::string declared(const std::string& text) {
    const License license = license_of(text);
    const auto known = [&](const ordered_json& one) { return one["licenseId"] == license.expression; };
    if (!license.text.empty() && std::ranges::none_of(licenses_, known))
      licenses_.push_back({{"licenseId", license.expression}, {"extractedText", license.text}});
    return license.expression;
  }

  void add_module(const SpdxModule& module, const std::string& number) {
    const std::string package = "SPDXRef-Livepatch-" + number, file = "SPDXRef-File-" + number;
    const std::string license = declared(value(module, "license"));
    add_livepatch(module, package, license);
    const ordered_json checksums = {checksum("SHA1", module.sha1), checksum("SHA256", module.stated.digest)};
    files_.push_back({{"SPDXID", file},
                      {"fileName", "./" + module.stated.file},
                      {"fileTypes", {"BINARY"}},
                      {"checksums", checksums},
                      {"licenseConcluded", license},
                      {"licenseInfoInFiles", {license}},
                      {"copyrightText", unknown}});
    relate("SPDXRef-DOCUMENT", "DESCRIBES", package);
    relate(package, "CONTAINS", file);
    relate(package, "PATCH_FOR", kernel(module.stated));
    add_made_from(module, file, number);
  }

  void add_livepatch(const SpdxModule& module, const std::string& id, const std::string& license) {
    const StatedModule& stated = module.stated;
    ordered_json references = {reference("PACKAGE-MANAGER", "purl", module_url(stated))};
    std::vector<std::string> others;
    for (const std::string& fix : stated.fixes) {
      ordered_json one;
      if (kind_of(fix) == FixKind::cve)
        one = reference("SECURITY", "advisory", "https://www.cve.org/CVERecord?id=" + upper(fix));
      else if (kind_of(fix) == FixKind::commit)
        one = reference("SECURITY", "fix", "https://git.kernel.org/stable/c/" + fix);
      else
        others.push_back(fix);
      if (!one.is_null() && std::ranges::count(references, one) == 0) references.push_back(std::move(one));
    }
    std::string comment = fmt::format("A livepatch for the Linux kernel {}, and for no other.", stated.release);
    if (!others.empty()) comment += " It also fixes: " + joined(others, ", ") + ".";
    if (!stated.build_id.empty()) comment += " Build id: " + stated.build_id + ".";
    ordered_json package = {{"SPDXID", id},
                            {"name", stated.name},
                            {"versionInfo", stated.release},
                            {"packageFileName", stated.file},
                            {"downloadLocation", unknown},
                            {"filesAnalyzed", true},
                            // Of one file: the digest of its digest (7.9 of the specification).
                            {"packageVerificationCode", {{"packageVerificationCodeValue", sha1_of(module.sha1)}}},
                            {"checksums", {checksum("SHA1", module.sha1), checksum("SHA256", stated.digest)}}};
    if (const std::string version = value(module, "kpatch_version"); !version.empty())
      package["sourceInfo"] =
          fmt::format("Made by kpatch-build {}, options: {}.", version,
                      value(module, "kpatch_options").empty() ? "none" : value(module, "kpatch_options"));
    package["licenseConcluded"] = license;
    package["licenseInfoFromFiles"] = {license};
    package["licenseDeclared"] = license;
    package["licenseComments"] = fmt::format("The module says: MODULE_LICENSE(\"{}\").", value(module, "license"));
    package["copyrightText"] = unknown;
    package["comment"] = comment;
    package["externalRefs"] = std::move(references);
    packages_.push_back(std::move(package));
  }

  // Its id; one for all livepatches of a release.
  std::string kernel(const StatedModule& stated) {
    const auto it = std::ranges::find(kernels_, stated.release);
    const std::string id = fmt::format("SPDXRef-Kernel-{}", it - kernels_.begin() + 1);
    if (it != kernels_.end()) return id;
    kernels_.push_back(stated.release);
    ordered_json& package = add_package(id, "linux");
    package["versionInfo"] = stated.release;
    package["primaryPackagePurpose"] = "OPERATING-SYSTEM";
    package["externalRefs"] = {reference("PACKAGE-MANAGER", "purl", kernel_url(stated))};
    return id;
  }

  void add_made_from(const SpdxModule& module, const std::string& file, const std::string& number) {
    size_t count = 0;
    const auto add = [&](const std::string& name, bool tool) -> ordered_json& {
      const std::string id = fmt::format("SPDXRef-Input-{}-{}", number, ++count);
      if (tool)
        relate(id, "BUILD_TOOL_OF", file);
      else
        relate(file, "GENERATED_FROM", id);
      return add_package(id, name);
    };
    const auto digest_of = [&](const std::string& resource) -> std::string {
      for (const auto& [name, sha256] : module.resources)
        if (name == resource) return sha256;
      return {};
    };
    std::vector<std::string> told;
    for (const std::string& patch : values(module, "kpatch_patch")) {  // "fix.patch xxh3:0123…"
      const std::string name = patch.substr(0, patch.rfind(' '));
      told.push_back("patch " + name);
      ordered_json& package = add(name, false);
      package["primaryPackagePurpose"] = "SOURCE";
      package["comment"] = "A patch; the module knows it as " + patch + ".";
      if (const std::string sha256 = digest_of(told.back()); !sha256.empty())
        package["checksums"] = {checksum("SHA256", sha256)};
    }
    for (const auto& [name, sha256] : module.resources) {
      if (std::ranges::count(told, name) != 0) continue;
      const bool tool = name == "compiler" || name == "compiler proper" || name == "assembler" || name == "linker";
      add(name, tool)["checksums"] = {checksum("SHA256", sha256)};
    }
    for (const std::string& compiler : module.compilers)
      add(compiler, true)["comment"] = "A compiler, as the module's section .comment has it.";
    if (const std::string version = value(module, "kpatch_version"); !version.empty())
      add("kpatch-build", true)["versionInfo"] = version;
  }

  const SpdxDocument& document_;
  ordered_json packages_ = ordered_json::array(), files_ = ordered_json::array();
  ordered_json relationships_ = ordered_json::array(), licenses_ = ordered_json::array();
  std::vector<std::string> kernels_;
};

}  // namespace

ModuleInputs read_module_inputs(string_view statement) {
  ModuleInputs inputs;
  try {
    const nlohmann::json json = nlohmann::json::parse(statement);
    const nlohmann::json& definition = json.at("predicate").at("buildDefinition");
    if (json.at("_type") != "https://in-toto.io/Statement/v1" ||
        definition.at("buildType") != "urn:kpatch-build:livepatch:1")
      throw Error("no statement of kpatch-build --provenance");
    inputs.sha256 = json.at("subject").at(0).at("digest").at("sha256").get<std::string>();
    for (const nlohmann::json& input : definition.at("resolvedDependencies"))
      inputs.resources.emplace_back(input.at("name").get<std::string>(),
                                    input.at("digest").at("sha256").get<std::string>());
  } catch (const nlohmann::json::exception&) {
    throw Error("no statement of kpatch-build --provenance, or damaged");
  }
  constexpr size_t digits = 64;
  if (!is_digest(inputs.sha256, digits) || !std::ranges::all_of(inputs.resources, [](const auto& resource) {
        return !resource.first.empty() && is_digest(resource.second, digits);
      }))
    throw Error("a digest in it is no SHA-256");
  return inputs;
}

SpdxModule spdx_module(const ModuleFile& module, string_view bytes) {
  SpdxModule result;
  result.stated = {
      module.name,    module.release, module.path.filename().string(), sha256_of(bytes), hex_of(module.build_id),
      module.fixes(), false};
  result.sha1 = sha1_of(bytes);
  result.info = module.info;
  result.compilers = module.compilers;
  return result;
}

bool add_inputs(SpdxModule& module, const ModuleInputs& inputs, string_view bytes) {
  if (inputs.sha256 != module.stated.digest && inputs.sha256 != sha256_of(without_signature(bytes))) return false;
  module.resources = inputs.resources;
  return true;
}

ordered_json spdx(const SpdxDocument& document) {
  if (document.modules.empty()) throw Error("no livepatch is in effect: there is nothing to state");
  if (document.publisher.find('#') != std::string::npos)
    throw Error(fmt::format("--publisher {}: a namespace of SPDX has no \"#\"", document.publisher));
  return Writer(document).run();
}

}  // namespace kpatch
