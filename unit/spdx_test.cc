// Bills of materials: what SPDX 2.3 asks of a document, and what in-toto statements say that a module was made from.
#include "kpatch/spdx.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/sha256.h"
#include "unit/json_fields.h"

namespace kpatch {
namespace {

using nlohmann::ordered_json;

SpdxModule module() {
  SpdxModule module;
  module.stated = {
      "livepatch_fix", "6.12.117+deb12-cloud-amd64", "livepatch-fix.ko", sha256_of("bytes"), "0b1d", {}, false};
  module.sha1 = sha1_of("bytes");
  module.info = {{"license", "GPL"},
                 {"kpatch_patch", "fix.patch xxh3:00ff"},
                 {"kpatch_patch", "two words.patch xxh3:11ff"},
                 {"kpatch_options", "-R"},
                 {"kpatch_version", "0.1.0"}};
  module.compilers = {"GCC: (Debian 12.2.0-14) 12.2.0"};
  return module;
}

SpdxDocument document(std::vector<SpdxModule> modules) {
  SpdxDocument document;
  document.modules = std::move(modules);
  document.time = 1'700'000'000;
  return document;
}

bool matches(const ordered_json& text, const std::string& expression) {
  return testing::Matcher<std::string>(testing::MatchesRegex(expression)).Matches(text.get<std::string>());
}

void expect_checksums(const ordered_json& checksums) {
  ASSERT_FALSE(checksums.empty());
  for (const ordered_json& one : checksums) {
    expect_fields(one, {"algorithm", "checksumValue"}, {});
    ASSERT_TRUE(one["algorithm"] == "SHA1" || one["algorithm"] == "SHA256");
    EXPECT_TRUE(matches(one["checksumValue"], one["algorithm"] == "SHA1" ? "[0-9a-f]{40}" : "[0-9a-f]{64}"));
  }
}

// spdx-schema.json of 2.3, and what clauses 6 to 11 say beyond it.
void expect_spdx(const ordered_json& spdx) {
  expect_fields(spdx,
                {"SPDXID", "creationInfo", "dataLicense", "name", "spdxVersion", "documentNamespace", "packages",
                 "files", "relationships"},
                {"hasExtractedLicensingInfos", "comment"});
  EXPECT_EQ(spdx["spdxVersion"], "SPDX-2.3");
  EXPECT_EQ(spdx["dataLicense"], "CC0-1.0");
  EXPECT_EQ(spdx["SPDXID"], "SPDXRef-DOCUMENT");
  EXPECT_TRUE(is_uri(spdx["documentNamespace"].get<std::string>()));
  EXPECT_EQ(spdx["documentNamespace"].get<std::string>().find('#'), std::string::npos);
  expect_fields(spdx["creationInfo"], {"created", "creators"}, {});
  EXPECT_TRUE(matches(spdx["creationInfo"]["created"], "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
  for (const ordered_json& creator : spdx["creationInfo"]["creators"])
    EXPECT_TRUE(matches(creator, "(Tool|Organization|Person): .+")) << creator;
  std::set<std::string> ids = {"SPDXRef-DOCUMENT"}, licenses = {"NOASSERTION", "GPL-2.0-only", "MIT OR GPL-2.0-only"};
  const auto take_id = [&](const ordered_json& element) {
    EXPECT_TRUE(matches(element["SPDXID"], "SPDXRef-[a-zA-Z0-9.-]+"));
    EXPECT_TRUE(ids.insert(element["SPDXID"].get<std::string>()).second) << element["SPDXID"];
  };
  if (spdx.contains("hasExtractedLicensingInfos"))
    for (const ordered_json& license : spdx["hasExtractedLicensingInfos"]) {
      expect_fields(license, {"licenseId", "extractedText"}, {});
      EXPECT_TRUE(matches(license["licenseId"], "LicenseRef-[a-zA-Z0-9.-]+"));
      licenses.insert(license["licenseId"].get<std::string>());
    }
  for (const ordered_json& package : spdx["packages"]) {
    expect_fields(package, {"SPDXID", "downloadLocation", "name", "filesAnalyzed"},
                  {"versionInfo", "packageFileName", "packageVerificationCode", "checksums", "sourceInfo",
                   "licenseConcluded", "licenseInfoFromFiles", "licenseDeclared", "licenseComments", "copyrightText",
                   "comment", "externalRefs", "primaryPackagePurpose"});
    take_id(package);
    EXPECT_FALSE(package["name"].get<std::string>().empty());
    EXPECT_EQ(package["filesAnalyzed"].get<bool>(), package.contains("packageVerificationCode"));
    if (package.contains("checksums")) expect_checksums(package["checksums"]);
    if (package.contains("licenseDeclared")) {
      EXPECT_TRUE(licenses.contains(package["licenseDeclared"].get<std::string>()));
    }
    if (package.contains("externalRefs"))
      for (const ordered_json& one : package["externalRefs"]) {
        expect_fields(one, {"referenceCategory", "referenceType", "referenceLocator"}, {});
        const std::string category = one["referenceCategory"].get<std::string>(),
                          type = one["referenceType"].get<std::string>();
        EXPECT_TRUE((category == "SECURITY" && (type == "advisory" || type == "fix")) ||
                    (category == "PACKAGE-MANAGER" && type == "purl"))
            << one;
        EXPECT_TRUE(is_uri(one["referenceLocator"].get<std::string>())) << one;
      }
  }
  for (const ordered_json& file : spdx["files"]) {
    expect_fields(file, {"SPDXID", "checksums", "fileName", "licenseConcluded", "licenseInfoInFiles", "copyrightText"},
                  {"fileTypes"});
    take_id(file);
    EXPECT_TRUE(file["fileName"].get<std::string>().starts_with("./"));
    expect_checksums(file["checksums"]);
    EXPECT_EQ(file["checksums"][0]["algorithm"], "SHA1");  // 8.4: of files it is the one that must be there
  }
  const std::set<std::string> known = {"DESCRIBES", "CONTAINS", "PATCH_FOR", "GENERATED_FROM", "BUILD_TOOL_OF"};
  bool describes = false;
  for (const ordered_json& one : spdx["relationships"]) {
    expect_fields(one, {"spdxElementId", "relatedSpdxElement", "relationshipType"}, {});
    EXPECT_TRUE(ids.contains(one["spdxElementId"].get<std::string>())) << one;
    EXPECT_TRUE(ids.contains(one["relatedSpdxElement"].get<std::string>())) << one;
    EXPECT_TRUE(known.contains(one["relationshipType"].get<std::string>())) << one;
    describes = describes || one["relationshipType"] == "DESCRIBES";
  }
  EXPECT_TRUE(describes);
}

size_t count_of(const ordered_json& spdx, const char* type) {
  return static_cast<size_t>(
      std::ranges::count_if(spdx["relationships"], [&](const auto& one) { return one["relationshipType"] == type; }));
}

const ordered_json& package_named(const ordered_json& spdx, const std::string& name) {
  const auto it = std::ranges::find_if(spdx["packages"], [&](const auto& one) { return one["name"] == name; });
  if (it == spdx["packages"].end()) throw Error("no package " + name);
  return *it;
}

TEST(Sha1, IsWhatOthersCallIt) { EXPECT_EQ(sha1_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d"); }

TEST(Spdx, HasWhatTheSpecificationAsksFor) {
  SpdxModule other = module();
  other.stated.name = "livepatch_other";
  const ordered_json bill = spdx(document({module(), other}));
  expect_spdx(bill);
  EXPECT_EQ(bill["creationInfo"]["created"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(count_of(bill, "DESCRIBES"), 2U);
  EXPECT_EQ(count_of(bill, "PATCH_FOR"), 2U);
  EXPECT_EQ(count_of(bill, "GENERATED_FROM"), 4U);
  EXPECT_EQ(count_of(bill, "BUILD_TOOL_OF"), 4U);
  EXPECT_EQ(package_named(bill, "linux")["versionInfo"], "6.12.117+deb12-cloud-amd64");  // once
  EXPECT_EQ(package_named(bill, "livepatch_fix")["licenseDeclared"], "GPL-2.0-only");
  // sha1sum of the one digest, as 7.9 has it.
  EXPECT_EQ(package_named(bill, "livepatch_fix")["packageVerificationCode"]["packageVerificationCodeValue"],
            sha1_of(sha1_of("bytes")));
  EXPECT_EQ(package_named(bill, "two words.patch")["primaryPackagePurpose"], "SOURCE");
}

TEST(Spdx, FixesAreReferences) {
  SpdxModule fixing = module();
  fixing.stated.fixes = {"cve-2026-1000", "CVE-2026-1000", "0123456789ab", "DSA-1-1"};
  const ordered_json bill = spdx(document({fixing}));
  expect_spdx(bill);
  const ordered_json& package = package_named(bill, "livepatch_fix");
  ASSERT_EQ(package["externalRefs"].size(), 3U);
  EXPECT_EQ(package["externalRefs"][1]["referenceLocator"], "https://www.cve.org/CVERecord?id=CVE-2026-1000");
  EXPECT_EQ(package["externalRefs"][2]["referenceType"], "fix");
  EXPECT_NE(package["comment"].get<std::string>().find("DSA-1-1"), std::string::npos);
}

TEST(Spdx, LicensesAreWhatTheModuleSays) {
  const std::pair<const char*, const char*> cases[] = {
      {"GPL", "GPL-2.0-only"},
      {"GPL v2", "GPL-2.0-only"},
      {"Dual MIT/GPL", "MIT OR GPL-2.0-only"},
      {"Dual BSD/GPL", "LicenseRef-Dual-BSD-GPL"},
      {"GPL and additional rights", "LicenseRef-GPL-and-additional-rights"}};
  for (const auto& [said, expected] : cases) {
    SpdxModule licensed = module();
    licensed.info.front().second = said;
    const ordered_json bill = spdx(document({licensed, licensed}));
    expect_spdx(bill);
    EXPECT_EQ(package_named(bill, "livepatch_fix")["licenseDeclared"], expected);
    EXPECT_EQ(bill.contains("hasExtractedLicensingInfos"), std::string(expected).starts_with("LicenseRef-"));
    if (bill.contains("hasExtractedLicensingInfos")) {
      EXPECT_EQ(bill["hasExtractedLicensingInfos"].size(), 1U);
    }
  }
  SpdxModule bare = module();
  bare.info.clear();
  bare.compilers.clear();
  const ordered_json bill = spdx(document({bare}));  // another builder's
  expect_spdx(bill);
  EXPECT_EQ(package_named(bill, "livepatch_fix")["licenseDeclared"], "NOASSERTION");
  EXPECT_EQ(count_of(bill, "GENERATED_FROM"), 0U);
}

TEST(Spdx, EqualDocumentsAreEqualAndOthersHaveNamespacesOfTheirOwn) {
  EXPECT_EQ(spdx(document({module()})), spdx(document({module()})));
  const auto name_space = [](const SpdxDocument& d) { return spdx(d)["documentNamespace"].get<std::string>(); };
  std::set<std::string> seen = {name_space(document({module()}))};
  SpdxDocument changed = document({module()});
  changed.time += 1;
  EXPECT_TRUE(seen.insert(name_space(changed)).second);
  changed = document({module()});
  changed.modules[0].sha1[0] = changed.modules[0].sha1[0] == 'a' ? 'b' : 'a';
  EXPECT_TRUE(seen.insert(name_space(changed)).second);
  changed = document({module()});
  changed.publisher = "https://security.example.org";
  changed.author = "Example";
  EXPECT_TRUE(name_space(changed).starts_with("https://security.example.org/spdx/livepatch_fix-"));
  expect_spdx(spdx(changed));
}

TEST(Spdx, NothingToStateAndNoNamespaceAreErrors) {
  EXPECT_THROW(spdx(document({})), Error);
  SpdxDocument fragment = document({module()});
  fragment.publisher = "https://example.org/#x";
  EXPECT_THROW(spdx(fragment), Error);
}

std::string statement(const std::string& digest) {
  return ordered_json{{"_type", "https://in-toto.io/Statement/v1"},
                      {"subject", {{{"name", "livepatch-fix.ko"}, {"digest", {{"sha256", digest}}}}}},
                      {"predicate",
                       {{"buildDefinition",
                         {{"buildType", "urn:kpatch-build:livepatch:1"},
                          {"resolvedDependencies",
                           {{{"name", "patch fix.patch"}, {"digest", {{"sha256", std::string(64, '1')}}}},
                            {{"name", "vmlinux"}, {"digest", {{"sha256", std::string(64, '2')}}}},
                            {{"name", "compiler"}, {"digest", {{"sha256", std::string(64, '3')}}}}}}}}}}}
      .dump();
}

TEST(Spdx, AStatementTellsWhatItWasMadeFrom) {
  SpdxModule made = module();
  ASSERT_TRUE(add_inputs(made, read_module_inputs(statement(sha256_of("bytes"))), "bytes"));
  const ordered_json bill = spdx(document({made}));
  expect_spdx(bill);
  EXPECT_EQ(package_named(bill, "fix.patch")["checksums"][0]["checksumValue"], std::string(64, '1'));
  EXPECT_EQ(package_named(bill, "vmlinux")["checksums"][0]["checksumValue"], std::string(64, '2'));
  EXPECT_EQ(count_of(bill, "GENERATED_FROM"), 3U);  // two patches, vmlinux
  EXPECT_EQ(count_of(bill, "BUILD_TOOL_OF"), 3U);   // compiler, GCC by .comment, kpatch-build
  // Signed afterwards, and of something else.
  const std::string sign = std::string(8, 'x') + std::string(11, '\0') + "\x08~Module signature appended~\n";
  EXPECT_TRUE(add_inputs(made, read_module_inputs(statement(sha256_of("bytes"))), "bytes" + sign));
  SpdxModule another = module();
  EXPECT_FALSE(add_inputs(another, read_module_inputs(statement(sha256_of("other"))), "bytes"));
  EXPECT_TRUE(another.resources.empty());
}

TEST(Spdx, DamagedStatementsAreErrors) {
  const std::string good = statement(sha256_of("bytes"));
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_THROW(read_module_inputs(good.substr(0, size)), Error) << size;
  for (const char* bad :
       {"{}", "[]", "null", "1", R"({"_type": 1, "predicate": {"buildDefinition": {"buildType": 1}}})"})
    EXPECT_THROW(read_module_inputs(bad), Error) << bad;
  for (const std::string& digest : {std::string(63, 'a'), std::string(64, 'A'), std::string(64, 'g'), std::string()})
    EXPECT_THROW(read_module_inputs(statement(digest)), Error) << digest;
  std::string other = good;
  other.replace(other.find("livepatch:1"), 11, "livepatch:9");
  EXPECT_THROW(read_module_inputs(other), Error);
}

}  // namespace
}  // namespace kpatch
