// What kpatch tells auditors and monitors: VEX documents, metrics, the log of events.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "kpatch/events.h"
#include "kpatch/metrics.h"
#include "kpatch/summary.h"
#include "kpatch/vex.h"
#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "support/text.h"
#include "unit/json_fields.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// The whole text, by POSIX's extended expressions.
bool matches(const std::string& text, const std::string& expression) {
  return testing::Matcher<std::string>(testing::MatchesRegex(expression)).Matches(text);
}

TEST(Sha256, IsWhatOthersCallIt) {
  EXPECT_EQ(sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(std::string("\x00\xff\x0a", 3)), "00ff0a");
}

TEST(Sha384, IsWhatOthersCallIt) {
  EXPECT_EQ(sha384_of("abc"),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
}

TEST(Vex, CvesCommitsAndTheRest) {
  EXPECT_EQ(kind_of("CVE-2026-1000"), FixKind::cve);
  EXPECT_EQ(kind_of("cve-2026-100000"), FixKind::cve);
  for (const char* other : {"CVE-2026-1", "CVE-26-1000", "CVE-2026", "DSA-5480-1", "GHSA-aaaa-bbbb-cccc", "abcdef"})
    EXPECT_EQ(kind_of(other), FixKind::advisory) << other;
  EXPECT_EQ(kind_of("0123456789ab"), FixKind::commit);
  EXPECT_EQ(kind_of(std::string(40, 'f')), FixKind::commit);
}

StatedModule module(std::vector<std::string> fixes) {
  return {"livepatch_fix",
          "6.12.117+deb12-cloud-amd64",
          "livepatch-fix.ko",
          std::string(64, 'a'),
          "0b1d",
          std::move(fixes),
          true};
}
VexDocument document(std::vector<StatedModule> modules) {
  VexDocument document;
  document.modules = std::move(modules);
  document.time = 1'700'000'000;
  return document;
}

// openvex_json_schema.json of 0.2.0, which allows no further fields.
TEST(Vex, OpenVexHasWhatItsSchemaAsksFor) {
  const ordered_json vex = open_vex(document({module({"cve-2026-1000", "DSA-1-1", "0123456789ab", "CVE-2026-1000"})}));
  expect_fields(vex, {"@context", "@id", "author", "timestamp", "version", "statements"},
                {"role", "last_updated", "tooling"});
  EXPECT_EQ(vex["@context"], "https://openvex.dev/ns/v0.2.0");
  EXPECT_TRUE(matches(vex["@id"].get<std::string>(),
                      "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(vex["timestamp"], "2023-11-14T22:13:20Z");
  ASSERT_TRUE(vex["version"].is_number_integer());
  EXPECT_GE(vex["version"].get<int>(), 1);
  ASSERT_EQ(vex["statements"].size(), 2U);  // the commit is no vulnerability, and one was named twice
  for (const ordered_json& statement : vex["statements"]) {
    expect_fields(statement, {"vulnerability", "status"},
                  {"@id", "version", "timestamp", "last_updated", "products", "supplier", "status_notes",
                   "justification", "impact_statement", "action_statement", "action_statement_timestamp"});
    expect_fields(statement["vulnerability"], {"name"}, {"@id", "description", "aliases"});
    EXPECT_EQ(statement["status"], "fixed");
    ASSERT_EQ(statement["products"].size(), 1U);
    for (const ordered_json& product : statement["products"]) {
      expect_fields(product, {"@id", "identifiers"}, {"hashes", "subcomponents", "supplier"});
      // Every machine that has the kernel's package would be silenced otherwise.
      EXPECT_NE(product["@id"].get<std::string>().find(std::string(64, 'a')), std::string::npos);
      EXPECT_NE(product["@id"].get<std::string>().find("linux@6.12.117%2Bdeb12-cloud-amd64"), std::string::npos);
      for (const ordered_json& part : product["subcomponents"]) {
        expect_fields(part, {"@id", "identifiers", "hashes"}, {"supplier"});
        EXPECT_EQ(part["hashes"]["sha-256"], std::string(64, 'a'));
      }
    }
  }
  EXPECT_EQ(vex["statements"][0]["vulnerability"]["name"], "CVE-2026-1000");
  EXPECT_NE(vex["statements"][0]["status_notes"].get<std::string>().find("0123456789ab"), std::string::npos);
}

// CSAF 2.0, sections 3.2 and 4.5; tests 6.1.1 (each product id that is used is defined) and 6.1.2 (once).
TEST(Vex, CsafHasWhatItsProfileAsksFor) {
  StatedModule other = module({"CVE-2026-1000", "GHSA-aaaa-bbbb-cccc"});
  other.name = "livepatch_other";
  other.digest.clear();
  const ordered_json csaf = csaf_vex(document({module({"CVE-2026-1000"}), other}));
  expect_fields(csaf, {"document", "product_tree", "vulnerabilities"}, {});
  expect_fields(csaf["document"], {"category", "csaf_version", "publisher", "title", "tracking"}, {});
  EXPECT_EQ(csaf["document"]["category"], "csaf_vex");
  EXPECT_EQ(csaf["document"]["csaf_version"], "2.0");
  expect_fields(csaf["document"]["publisher"], {"category", "name", "namespace"}, {});
  expect_fields(csaf["document"]["tracking"],
                {"current_release_date", "id", "initial_release_date", "revision_history", "status", "version"},
                {"generator"});
  ASSERT_FALSE(csaf["document"]["tracking"]["revision_history"].empty());
  for (const ordered_json& revision : csaf["document"]["tracking"]["revision_history"])
    expect_fields(revision, {"date", "number", "summary"}, {});
  std::multiset<std::string> known;
  for (const ordered_json& product : csaf["product_tree"]["full_product_names"]) {
    expect_fields(product, {"name", "product_id"}, {"product_identification_helper"});
    known.insert(product["product_id"]);
  }
  for (const ordered_json& relationship : csaf["product_tree"]["relationships"]) {
    expect_fields(relationship, {"category", "full_product_name", "product_reference", "relates_to_product_reference"},
                  {});
    EXPECT_EQ(known.count(relationship["product_reference"]), 1U);
    EXPECT_EQ(known.count(relationship["relates_to_product_reference"]), 1U);
    known.insert(relationship["full_product_name"]["product_id"]);
  }
  ASSERT_EQ(csaf["vulnerabilities"].size(), 2U);
  for (const ordered_json& vulnerability : csaf["vulnerabilities"]) {
    expect_fields(vulnerability, {"notes", "product_status"}, {"cve", "ids"});
    EXPECT_NE(vulnerability.contains("cve"), vulnerability.contains("ids"));
    ASSERT_FALSE(vulnerability["notes"].empty());
    for (const ordered_json& note : vulnerability["notes"]) expect_fields(note, {"category", "text"}, {});
    for (const ordered_json& id : vulnerability["product_status"]["fixed"]) EXPECT_EQ(known.count(id), 1U) << id;
  }
  EXPECT_EQ(csaf["vulnerabilities"][0]["product_status"]["fixed"].size(), 2U);
  for (const std::string& id : known) EXPECT_EQ(known.count(id), 1U) << id;
}

// The module is livepatch_fix, its file isn't.
TEST(Vex, CsafNamesTheFile) {
  const ordered_json csaf = csaf_vex(document({module({"CVE-2026-1000"})}));
  const ordered_json& product = csaf["product_tree"]["full_product_names"][1];
  EXPECT_EQ(product["name"], "livepatch_fix");
  EXPECT_EQ(product["product_identification_helper"]["hashes"][0]["filename"], "livepatch-fix.ko");
}

TEST(Vex, NamespacesAreUris) {
  for (const char* good : {"https://example.org/", "https://example.org", "urn:uuid:0b1d", "mailto:a@example.org",
                           "https://[2001:db8::1]:8443/a%20b?c=d#e", "tag:example.org,2026:x"})
    EXPECT_TRUE(is_uri(good)) << good;
  for (const char* bad : {"", "not a uri", "example.org", "https:", "://x", "1a:b", "https://a b", "https://a/%2",
                          "https://a/%zz", "https://\xc3\xa4/", "https://a\n", "a/b:c"})
    EXPECT_FALSE(is_uri(bad)) << bad;
}

TEST(Vex, NothingToStateIsAnError) {
  EXPECT_THROW(open_vex(document({})), Error);
  EXPECT_THROW(open_vex(document({module({})})), Error);
  EXPECT_THROW(csaf_vex(document({module({"0123456789ab"})})), Error);
  StatedModule nobody = module({"CVE-2026-1000"});
  nobody.digest.clear();
  nobody.build_id.clear();
  EXPECT_THROW(open_vex(document({nobody})), Error);
}

TEST(Vex, EqualStatementsAreOneDocument) {
  EXPECT_EQ(open_vex(document({module({"CVE-2026-1000"})})), open_vex(document({module({"CVE-2026-1000"})})));
  const auto id = [](const VexDocument& d) { return open_vex(d)["@id"].get<std::string>(); };
  StatedModule other = module({"CVE-2026-1000"});
  other.digest[0] = 'b';
  EXPECT_NE(id(document({module({"CVE-2026-1000"})})), id(document({other})));
}

class Monitored : public testing::Test {
 protected:
  void put(const std::string& file, const std::string& text) { folder_.write(file.substr(1), text); }
  TemporaryFolder folder_;
  System system_{folder_.path()};
};

// The text format's grammar, as node_exporter's parser has it: other kinds than gauge and counter would drop the whole file.
TEST_F(Monitored, MetricsAreTakenByBothReaders) {
  put("/proc/sys/kernel/osrelease", "6.12.1-\"test\\\n");
  put("/sys/kernel/livepatch/livepatch_a/enabled", "1\n");
  put("/sys/kernel/livepatch/livepatch_a/transition", "0\n");
  fs::create_directories(folder_.path() / "sys/kernel/livepatch/livepatch_a/vmlinux/f,1");
  const auto word = [](uint32_t n) { return std::string(reinterpret_cast<const char*>(&n), sizeof(n)); };
  const std::string fixes("CVE-2026-1\0CVE-2026-1\0a\"b\0", 26);
  put("/sys/module/livepatch_a/notes/.note.kpatch",
      word(7) + word(static_cast<uint32_t>(fixes.size())) + word(1) + std::string("kpatch\0\0", 8) + fixes);
  put("/sys/module/livepatch_a/parameters/attempts", "CVE-2026-1 5\nCVE-2026-1 5\na\"b 0\n");
  const std::string text = metrics_of(summary_of(system_), system_, 1'700'000'000);
  const std::string sample(R"re([a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? -?[0-9]+)re");
  std::set<std::string> seen;
  std::string type;
  for (const std::string_view view : lines_of(text)) {
    const std::string line(view);
    if (line.starts_with("# TYPE ")) {
      type = line.substr(7, line.find(' ', 7) - 7);
      const bool counts = type == "kpatch_exploit_attempts";
      EXPECT_TRUE(line.ends_with(counts ? " counter" : " gauge")) << line;
      if (counts) type += "_total";
    } else if (!line.starts_with("# ")) {
      EXPECT_TRUE(matches(line, sample)) << line;
      EXPECT_EQ(line.substr(0, line.find_first_of("{ ")), type);
      EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
  }
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
  for (const char* wanted : {"kpatch_state 0", R"(kpatch_kernel_info{release="6.12.1-\"test\\"} 1)",
                             R"(kpatch_patch_info{patch="livepatch_a",state="enabled"} 1)",
                             R"(kpatch_patch_functions{patch="livepatch_a"} 1)",
                             R"(kpatch_fix_info{patch="livepatch_a",fix="CVE-2026-1"} 1)",
                             R"(kpatch_fix_info{patch="livepatch_a",fix="a\"b"} 1)",
                             R"(kpatch_exploit_attempts_total{patch="livepatch_a",cve="CVE-2026-1"} 5)",
                             R"(kpatch_exploit_attempts_total{patch="livepatch_a",cve="a\"b"} 0)",
                             "kpatch_transition 0", "kpatch_status_timestamp_seconds 1700000000"})
    EXPECT_NE(text.find(std::string(wanted) + "\n"), std::string::npos) << wanted << "\n" << text;
}

TEST_F(Monitored, AFixCountsOnceItIsInEffect) {
  put("/sys/kernel/livepatch/livepatch_a/enabled", "1\n");
  put("/sys/kernel/livepatch/livepatch_a/transition", "1\n");
  const Summary summary = summary_of(system_);
  EXPECT_EQ(summary.moving, "livepatch_a");
  EXPECT_FALSE(in_effect(summary.patches.at(0)));
  EXPECT_NE(metrics_of(summary, system_, 0).find("kpatch_transition 1\n"), std::string::npos);
  EXPECT_EQ(summary_of(System(folder_.path() / "none")).state, PatchState::unsupported);
}

TEST_F(Monitored, EventsAreLinesThatAreAppended) {
  put("/a.ko", "abc");
  put("/proc/sys/kernel/random/boot_id", "boot-1\n");
  Event event{"load", "livepatch_a", "6.12", folder_.path() / "a.ko", "\x01\xff", {}};
  event.change.outcome = refused;
  event.change.message = "line\nbreak \xff";
  const fs::path log = folder_.path() / "log/kpatch/events.json";
  EXPECT_EQ(append_event(log, event_line(event, system_, 0)), "");
  EXPECT_EQ(append_event(log, event_line(event, system_, 1)), "");
  const std::string text = read_file(log);
  const auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 2U);
  const auto line = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(line["time"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(line["event"], "load");
  EXPECT_EQ(line["digest"], "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(line["build_id"], "01ff");
  EXPECT_EQ(line["outcome"], "refused");
  EXPECT_EQ(line["boot"], "boot-1");
  EXPECT_EQ(nlohmann::json::parse(lines[1])["time"], "1970-01-01T00:00:01Z");
  EXPECT_NE(append_event(folder_.path() / "a.ko/x/events.json", "{}"), "");
  EXPECT_FALSE(nlohmann::json::parse(event_line({"unload", "a", "", {}, "", {}}, system_, 0)).contains("digest"));
}

}  // namespace
}  // namespace kpatch
