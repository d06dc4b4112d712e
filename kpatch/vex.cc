// Stating that a kernel is fixed which a scanner takes for vulnerable
//
//     scanner      linux-image-6.12.117+deb12-cloud-amd64 is installed: CVE-2026-1000
//     this machine runs it with livepatch_fix, which fixes CVE-2026-1000
//
// "fixed" is said of a product. Of the kernel's package it would silence the scanner on every machine that has it, those
// without the livepatch too. So the product is another one: this release *with this module*, by the module's digest, and
// the module its part. Whoever runs the module can check the digest, or the build id that its loaded copy shows.
//
// A commit is no vulnerability; it is told in the notes. Names of documents come from what is in them: equal statements
// are one document.
#include "kpatch/vex.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "kpatch/events.h"
#include "support/error.h"
#include "support/sha256.h"
#include "support/text.h"

namespace kpatch {
namespace {

using nlohmann::ordered_json;
using std::string_view;

bool all_digits(string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == string_view::npos; }

// As a package URL has it.
std::string percent(string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || string_view("-._~").find(c) != string_view::npos;
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

// What the module is known by.
std::string identity(const StatedModule& module) {
  return !module.digest.empty() ? "sha256:" + module.digest : "build-id:" + module.build_id;
}
std::string product_url(const StatedModule& module) {
  return fmt::format("{}?livepatch={}", kernel_url(module), percent(module.name + "@" + identity(module)));
}

std::vector<std::string> vulnerabilities(const StatedModule& module) {
  std::vector<std::string> found;
  for (const std::string& fix : module.fixes) {
    if (kind_of(fix) == FixKind::commit) continue;
    const std::string name = kind_of(fix) == FixKind::cve ? upper(fix) : fix;
    if (std::ranges::count(found, name) == 0) found.push_back(name);
  }
  return found;
}

std::string notes(const StatedModule& module) {
  std::vector<std::string> commits;
  for (const std::string& fix : module.fixes)
    if (kind_of(fix) == FixKind::commit) commits.push_back(fix);
  std::string text =
      fmt::format("Fixed in the running code of {} by the livepatch {} ({}){}", module.release, module.name,
                  identity(module), module.in_effect ? ", which is in effect" : ", once it is in effect");
  if (!commits.empty()) text += "; commits: " + joined(commits, ", ");
  return text + ".";
}

void require_statements(const VexDocument& document) {
  for (const StatedModule& module : document.modules) {
    if (module.digest.empty() && module.build_id.empty())
      throw Error(
          fmt::format("{}: neither its file nor a build id is known: nothing to bind a statement to", module.name));
    if (!vulnerabilities(module).empty()) continue;
    throw Error(
        fmt::format("{} says of no vulnerability that it fixes it; kpatch-build --fixes puts that in", module.name));
  }
  if (document.modules.empty()) throw Error("no livepatch is in effect: there is nothing to state");
}

std::string identity(const VexDocument& document) {
  std::string text = fmt::format("{}\n{}\n{}\n", document.author, document.publisher, document.time);
  for (const StatedModule& module : document.modules)
    text += fmt::format("{}\n{}\n{}\n", product_url(module), module.in_effect, joined(module.fixes, " "));
  return uuid_of(text);
}

ordered_json csaf_tree(const VexDocument& document) {
  ordered_json names = ordered_json::array(), relationships = ordered_json::array();
  std::vector<std::string> kernels;
  for (size_t i = 0; i < document.modules.size(); ++i) {
    const StatedModule& module = document.modules[i];
    if (std::ranges::count(kernels, module.release) == 0) {
      kernels.push_back(module.release);
      names.push_back({{"name", "Linux " + module.release},
                       {"product_id", "kernel-" + module.release},
                       {"product_identification_helper", {{"purl", kernel_url(module)}}}});
    }
    ordered_json helper = {{"purl", module_url(module)}};
    if (!module.digest.empty())
      helper["hashes"] = {
          {{"file_hashes", {{{"algorithm", "sha256"}, {"value", module.digest}}}}, {"filename", module.file}}};
    names.push_back({{"name", module.name},
                     {"product_id", fmt::format("livepatch-{}", i + 1)},
                     {"product_identification_helper", std::move(helper)}});
    relationships.push_back({{"category", "installed_on"},
                             {"full_product_name",
                              {{"name", fmt::format("Linux {} with {}", module.release, module.name)},
                               {"product_id", fmt::format("patched-{}", i + 1)},
                               {"product_identification_helper", {{"purl", product_url(module)}}}}},
                             {"product_reference", fmt::format("livepatch-{}", i + 1)},
                             {"relates_to_product_reference", "kernel-" + module.release}});
  }
  return {{"full_product_names", std::move(names)}, {"relationships", std::move(relationships)}};
}

ordered_json csaf_vulnerabilities(const VexDocument& document) {
  std::vector<std::string> names;
  for (const StatedModule& module : document.modules)
    for (const std::string& name : vulnerabilities(module))
      if (std::ranges::count(names, name) == 0) names.push_back(name);
  ordered_json list = ordered_json::array();
  for (const std::string& name : names) {
    ordered_json fixed = ordered_json::array(), told = ordered_json::array();
    for (size_t i = 0; i < document.modules.size(); ++i) {
      const StatedModule& module = document.modules[i];
      const std::vector<std::string> known = vulnerabilities(module);
      if (std::ranges::count(known, name) == 0) continue;
      fixed.push_back(fmt::format("patched-{}", i + 1));
      told.push_back({{"category", "description"}, {"text", notes(module)}});
    }
    ordered_json vulnerability;
    if (kind_of(name) == FixKind::cve)
      vulnerability["cve"] = name;
    else
      vulnerability["ids"] = {{{"system_name", "advisory"}, {"text", name}}};
    vulnerability["notes"] = std::move(told);
    vulnerability["product_status"] = {{"fixed", std::move(fixed)}};
    list.push_back(std::move(vulnerability));
  }
  return list;
}

}  // namespace

std::string upper(string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::string module_url(const StatedModule& module) {
  return module.digest.empty() ? fmt::format("pkg:generic/{}?build_id={}", percent(module.name), module.build_id)
                               : fmt::format("pkg:generic/{}?checksum=sha256:{}", percent(module.name), module.digest);
}
std::string kernel_url(const StatedModule& module) { return "pkg:generic/linux@" + percent(module.release); }

std::string uuid_of(const std::string& text) {
  std::string hex = sha256_of(text);
  hex[12] = '8';
  hex[16] = '8';
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20, 12));
}

bool is_uri(string_view text) {
  const auto letter = [](unsigned char c) { return c < 0x80 && std::isalpha(c) != 0; };
  const auto known = [&](unsigned char c, string_view more) {
    return letter(c) || std::isdigit(c) != 0 || more.find(static_cast<char>(c)) != string_view::npos;
  };
  const size_t colon = text.find(':');
  if (colon == string_view::npos || colon + 1 == text.size() || !letter(static_cast<unsigned char>(text.front())))
    return false;
  const string_view scheme = text.substr(0, colon), rest = text.substr(colon + 1);
  for (size_t at = rest.find('%'); at != string_view::npos; at = rest.find('%', at + 1)) {
    const string_view digits = rest.substr(at + 1, 2);
    const auto hex = [](unsigned char c) { return std::isxdigit(c) != 0; };
    if (digits.size() != 2 || !std::ranges::all_of(digits, hex)) return false;
  }
  return std::ranges::all_of(scheme, [&](unsigned char c) { return known(c, "+-."); }) &&
         std::ranges::all_of(rest, [&](unsigned char c) { return known(c, "-._~:/?#[]@!$&'()*+,;=%"); });
}

FixKind kind_of(string_view fix) {
  constexpr size_t shortest = 12, longest = 40, year = 4;
  const bool hex = std::ranges::all_of(fix, [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (hex && fix.size() >= shortest && fix.size() <= longest) return FixKind::commit;
  // CVE-2026-1000
  const std::string text = upper(fix);
  if (!text.starts_with("CVE-")) return FixKind::advisory;
  const std::vector<string_view> parts = fields_of(text, '-');
  const bool cve = parts.size() == 3 && parts[1].size() == year && all_digits(parts[1]) && parts[2].size() >= 4 &&
                   all_digits(parts[2]);
  return cve ? FixKind::cve : FixKind::advisory;
}

ordered_json open_vex(const VexDocument& document) {
  require_statements(document);
  ordered_json statements = ordered_json::array();
  for (const StatedModule& module : document.modules)
    for (const std::string& name : vulnerabilities(module)) {
      ordered_json part = {{"@id", module_url(module)}, {"identifiers", {{"purl", module_url(module)}}}};
      if (!module.digest.empty()) part["hashes"] = {{"sha-256", module.digest}};
      ordered_json product = {{"@id", product_url(module)}, {"identifiers", {{"purl", product_url(module)}}}};
      product["subcomponents"] = ordered_json::array({std::move(part)});
      ordered_json statement = {{"vulnerability", {{"name", name}}}};
      statement["products"] = ordered_json::array({std::move(product)});
      statement["status"] = "fixed";
      statement["status_notes"] = notes(module);
      statements.push_back(std::move(statement));
    }
  return {{"@context", "https://openvex.dev/ns/v0.2.0"},
          {"@id", "urn:uuid:" + identity(document)},
          {"author", document.author},
          {"timestamp", utc(document.time)},
          {"version", 1},
          {"tooling", "kpatch " KPATCH_VERSION},
          {"statements", std::move(statements)}};
}

ordered_json csaf_vex(const VexDocument& document) {
  require_statements(document);
  const std::string time = utc(document.time);
  std::vector<std::string> names;
  for (const StatedModule& module : document.modules) names.push_back(module.name);
  ordered_json tracking = {{"id", "kpatch-" + identity(document)},
                           {"status", "final"},
                           {"version", "1"},
                           {"initial_release_date", time},
                           {"current_release_date", time}};
  tracking["generator"] = {{"engine", {{"name", "kpatch"}, {"version", KPATCH_VERSION}}}, {"date", time}};
  tracking["revision_history"] =
      ordered_json::array({{{"date", time}, {"number", "1"}, {"summary", "First statement."}}});
  return {{"document",
           {{"category", "csaf_vex"},
            {"csaf_version", "2.0"},
            {"title", "Fixed by livepatches: " + joined(names, ", ")},
            {"publisher", {{"category", "other"}, {"name", document.author}, {"namespace", document.publisher}}},
            {"tracking", std::move(tracking)}}},
          {"product_tree", csaf_tree(document)},
          {"vulnerabilities", csaf_vulnerabilities(document)}};
}

}  // namespace kpatch
