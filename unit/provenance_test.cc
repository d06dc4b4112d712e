// Statements of provenance: read back, damaged, of others; signatures behind a module.
#include "kpatch-build/provenance.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/base64.h"
#include "support/error.h"
#include "support/sha256.h"
#include "support/unsigned-module.h"

namespace kpatch {
namespace {

nlohmann::json statement() {
  const nlohmann::json patch = {
      {"name", "a.patch"}, {"digest", {{"sha256", sha256_of("text")}}}, {"content", base64_of("text")}};
  return {{"_type", "https://in-toto.io/Statement/v1"},
          {"subject", {{{"name", "livepatch-a.ko"}, {"digest", {{"sha256", sha256_of("module")}}}}}},
          {"predicateType", "https://slsa.dev/provenance/v1"},
          {"predicate",
           {{"buildDefinition",
             {{"buildType", "urn:kpatch-build:livepatch:1"},
              {"externalParameters",
               {{"release", "6.12.1"},
                {"name", "livepatch-a"},
                {"arguments", {"--non-replace"}},
                {"given", nlohmann::json::array()},
                {"patches", nlohmann::json::array({patch})}}},
              {"resolvedDependencies", {{{"name", "config"}, {"digest", {{"sha256", "12"}}}}}}}},
            {"runDetails", {{"builder", {{"version", {{"kpatch-build", "1.2"}}}}}}}}}};
}

TEST(Provenance, IsRead) {
  const Provenance p = read_provenance(statement().dump());
  EXPECT_EQ(p.file, "livepatch-a.ko");
  EXPECT_EQ(p.sha256, sha256_of("module"));
  EXPECT_EQ(p.version, "1.2");
  EXPECT_EQ(p.release, "6.12.1");
  EXPECT_EQ(p.arguments, std::vector<std::string>{"--non-replace"});
  ASSERT_EQ(p.patches.size(), 1U);
  EXPECT_EQ(p.patches[0].text, "text");
  ASSERT_EQ(p.inputs.size(), 1U);
  EXPECT_EQ(p.inputs[0].first, "config");
}

TEST(Provenance, DamagedOrOfAnother) {
  const std::string whole = statement().dump();
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(read_provenance(std::string_view(whole).substr(0, length)), Error) << length;
  for (const char* pointer : {"/_type", "/predicate/buildDefinition/buildType",
                              "/predicate/buildDefinition/externalParameters/patches/0/content",
                              "/predicate/buildDefinition/externalParameters/patches/0/digest/sha256"}) {
    nlohmann::json other = statement();
    other[nlohmann::json::json_pointer(pointer)] = "other";
    EXPECT_THROW(read_provenance(other.dump()), Error) << pointer;
  }
}

TEST(Provenance, SignaturesAreLeftOut) {
  const std::string mark = "~Module signature appended~\n";
  const std::string details(8, '\0');
  const std::string sign = "SIGN" + details + std::string("\0\0\0\4", 4) + mark;
  EXPECT_EQ(without_signature("module"), "module");
  EXPECT_EQ(without_signature("module" + sign), "module");
  EXPECT_EQ(without_signature("module" + sign + sign), "module");
  const std::string too_long = "m" + details + std::string("\0\0\1\0", 4) + mark;
  EXPECT_EQ(without_signature(too_long), too_long);
  EXPECT_EQ(without_signature(mark), mark);
}

}  // namespace
}  // namespace kpatch
