#include "fleet/fleet.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/error.h"
#include "support/files.h"
#include "support/sha256.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

json results(const std::vector<std::array<std::string, 3>>& cells) {
  json all = {{"tool", "t"},
              {"kernels", json::array()},
              {"fixes", {"a"}},
              {"cells", json::array()},
              {"groups", json::array()},
              {"changes", json::array()}};
  for (const auto& [release, fix, state] : cells) {
    all["kernels"].push_back({{"release", release}, {"version", "1"}});
    all["cells"].push_back({{"release", release}, {"fix", fix}, {"state", state}});
  }
  return all;
}

TEST(Fleet, SaysWhatChangedSinceTheLastRun) {
  const json before = results({{"r1", "a", "built"}, {"r2", "a", "built"}, {"r3", "a", "built"}});
  const json after = results({{"r1", "a", "already fixed"}, {"r2", "a", "built"}, {"r4", "a", "refused"}});
  EXPECT_EQ(changes_between(before, after),
            (std::vector<std::string>{"r1 a: has the fix itself, and drops out", "r4: new in the archives",
                                      "r4 a: refused", "r3: no longer among the plan's kernels"}));
  EXPECT_TRUE(changes_between(after, after).empty());
  EXPECT_TRUE(changes_between(json(json::value_t::discarded), after).empty());
}

TEST(Fleet, TheWorstCellGivesTheStatus) {
  EXPECT_EQ(status_of(results({{"r", "a", "built"}, {"r2", "a", "already fixed"}, {"r3", "a", "applies"}})), exit_ok);
  EXPECT_EQ(status_of(results({{"r", "a", "built"}, {"r2", "a", "needs a backport"}})), exit_unpatchable);
  EXPECT_EQ(status_of(results({{"r", "a", "refused"}, {"r2", "a", "lost"}})), exit_error);
  EXPECT_EQ(status_of(results({{"r", "a", "fails its audit"}})), exit_error);
}

TEST(Fleet, ThePageEscapesWhatOthersWrote) {
  json all = results({{"r", "a", "failed"}});
  all["cells"][0]["message"] = "<script>\"&";
  const std::string page = page_of(all);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;&quot;&amp;"), std::string::npos);
}

TEST(Fleet, AKeyIsOfWhatShapesTheResult) {
  CellJob job;
  job.kind = "build";
  job.kernel = {"6.1.0-1-amd64", "6.1.2-1", {}};
  job.module = "livepatch-a";
  job.patches = {"a.patch"};
  job.digests = {"d"};
  const std::string key = job.key();
  CellJob same = job;
  same.jobs = 8;
  same.store.where = "/s";
  same.patches = {"/elsewhere/a.patch"};
  EXPECT_EQ(same.key(), key);
  const auto differs = [&](const auto& change) {
    CellJob other = job;
    change(other);
    EXPECT_NE(other.key(), key);
  };
  differs([](CellJob& j) { j.digests = {"e"}; });
  differs([](CellJob& j) { j.kernel.release = "6.1.0-1-cloud-amd64"; });
  differs([](CellJob& j) { j.kernel.version = "6.1.2-2"; });
  differs([](CellJob& j) { j.module = "livepatch-b"; });
  differs([](CellJob& j) { j.patches = {"b.patch"}; });
  differs([](CellJob& j) { j.package = "deb"; });
  differs([](CellJob& j) { j.try_it = true; });
  differs([](CellJob& j) { j.kind = "triage"; });
  EXPECT_EQ(json(job).get<CellJob>().key(), key);
}

TEST(Fleet, KernelsOfEqualSourceShareATriage) {
  CellJob job;
  job.kind = "triage";
  job.kernel = {"6.1.0-1-amd64", "6.1.2-1", {}};
  job.digests = {"d"};
  CellJob other = job;
  other.kernel.release = "6.1.0-1-cloud-amd64";
  EXPECT_EQ(other.key(), job.key());
  other.kernel.release = "6.12.0-1-amd64";
  EXPECT_NE(other.key(), job.key());
  job.kernel.version = other.kernel.version = {};
  other.kernel.release = "6.1.0-1-cloud-amd64";
  EXPECT_NE(other.key(), job.key());
}

TEST(Fleet, AResultIsWholeOrNone) {
  const TemporaryFolder folder;
  const fs::path cell = folder.path() / std::string(64, 'a');
  fs::create_directory(cell);
  EXPECT_FALSE(result_of(cell));
  write_file(cell / "m.ko", "module");
  const json good = {{"key", std::string(64, 'a')}, {"files", {{"m.ko", sha256_of("module")}}}};
  write_file(cell / "result.json", good.dump());
  EXPECT_TRUE(result_of(cell));
  write_file(cell / "m.ko", "torn");
  EXPECT_FALSE(result_of(cell));
  fs::remove(cell / "m.ko");
  EXPECT_FALSE(result_of(cell));
  json bad = good;
  bad["files"] = {{"../x", sha256_of("module")}};
  write_file(folder.path() / "x", "module");
  write_file(cell / "result.json", bad.dump());
  EXPECT_FALSE(result_of(cell));
  bad = {{"key", std::string(64, 'b')}, {"files", json::object()}};
  write_file(cell / "result.json", bad.dump());
  EXPECT_FALSE(result_of(cell));
  for (const char* text : {"", "{", "[]", "{}", R"({"key":1})"}) {
    write_file(cell / "result.json", text);
    EXPECT_FALSE(result_of(cell)) << text;
  }
}

TEST(Fleet, AStoreNeverWritesOutsideOfTheFolder) {
  const TemporaryFolder folder;
  const fs::path store = folder.path() / "store", to = folder.path() / "to";
  fs::create_directories(store / "results");
  fs::create_directories(store / "files");
  fs::create_directories(to);
  const std::string key(64, 'a'), digest = sha256_of("evil");
  write_file(store / "files" / digest, "evil");
  for (const char* name : {"../evil", ".evil", "", "a/b"}) {
    const json list = {{"key", key}, {"files", {{name, digest}}}};
    write_file(store / "results" / key, list.dump());
    const auto why = ResultStore({store.string(), false, {}, {}}).fetch(key, to);
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("names a file"), std::string::npos) << name;
  }
  EXPECT_FALSE(fs::exists(folder.path() / "evil"));
  EXPECT_EQ(ResultStore({store.string(), false, {}, {}}).fetch(std::string(64, 'b'), to), "");
}

}  // namespace
}  // namespace kpatch
