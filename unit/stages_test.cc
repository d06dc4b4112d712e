// Stages without a console, and the one place that speaks for them.
#include "kpatch-build/stages.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kpatch-build/compile.h"
#include "kpatch-build/reporter.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> result;
  for (const Finding& finding : findings) result.push_back(text_of(finding));
  return result;
}

// Three units that include a.h, of which the patch changes a line.
class Compiling : public testing::Test {
 protected:
  Compiling() {
    for (const char* tree : {"source", "patched"}) {
      const std::string value = tree == std::string("source") ? "1" : "2";
      folder_.write(std::string(tree) + "/a.h", "#define A " + value + "\n#define B 3 // " + value + "\n");
    }
    folder_.write("source/uses.c", "#include \"a.h\"\nint uses(void) { return A; }\n");
    folder_.write("source/reads.c", "#include \"a.h\"\nint reads(void) { return B; }\n");
    folder_.write("source/drops.c", "#include \"a.h\"\nint drops(void) { return A ? 1 : 2; }\n");
    fs::create_directories(folder_.path() / "kbuild");
    base_.source = folder_.path() / "source";
    base_.kbuild = folder_.path() / "kbuild";
    patches_.directory = folder_.path() / "patched";
    patches_.modified = {"a.h"};
  }

  std::vector<AffectedObject> objects() const {
    std::vector<AffectedObject> list;
    for (const std::string name : {"drops", "reads", "uses"}) {
      CompileCommand c{name + ".o", name + ".c", "", {"gcc", "-O2", "-c", "-o", name + ".o"}};
      c.arguments.push_back((base_.source / c.source).string());
      list.push_back({c, c, false, "includes a.h"});
    }
    return list;
  }

  TemporaryFolder folder_;
  Base base_;
  AppliedPatches patches_;
};

TEST_F(Compiling, SaysWhyObjectsAreDropped) {
  PatchedView view(base_.source, folder_.path() / "view", patches_);
  Executor executor(folder_.path() / "log");
  const CompileSettings settings{base_, view, folder_.path() / "objects", "/none", 2};
  const Result<std::vector<AffectedObject>> kept = drop_equal_texts(objects(), settings, executor, {});
  ASSERT_EQ(kept.value.value().size(), 2U);
  EXPECT_EQ(texts(kept.findings),
            std::vector<std::string>{"reads.c: note: its text is the same after preprocessing [dropped]"});
  const Result<std::vector<ObjectPair>> pairs = compile_pairs(*kept.value, false, settings, executor, {});
  ASSERT_EQ(pairs.value.value().size(), 1U);
  EXPECT_EQ(pairs.value->front().command.source, "uses.c");
  EXPECT_EQ(texts(pairs.findings),
            std::vector<std::string>{"drops.c: note: the compiler gives the same bytes [dropped]"});
}

// Where no macro changes, the patched text alone tells what uses the change.
TEST_F(Compiling, TextsOfTheSourceAreMadeWhereTheyAreNeeded) {
  const std::string inline_function = "static inline int f(void) { return 1; }\n";
  folder_.write("source/a.h", "#define A 1\n" + inline_function);
  folder_.write("source/uses.c", "#include \"a.h\"\nint uses(void) { return f(); }\n");
  folder_.write("source/reads.c", "#include \"a.h\"\nint reads(void) { return A; }\n");
  folder_.write("source/drops.c", "int drops(void) { return 1; }\n");
  const auto kept_of = [&](const std::string& header, size_t texts_of_source) {
    folder_.write("patched/a.h", header);
    fs::remove_all(folder_.path() / "view");
    PatchedView view(base_.source, folder_.path() / "view", patches_);
    size_t before = 0;
    Executor executor(folder_.path() / "log", [&](std::string_view line) {
      before += line.find(".before.i") != std::string_view::npos ? 1 : 0;
    });
    const CompileSettings settings{base_, view, folder_.path() / "objects", "/none", 2};
    std::vector<std::string> kept;
    const auto result = drop_equal_texts(objects(), settings, executor, {});
    for (const AffectedObject& object : result.value.value()) kept.push_back(object.command.source);
    EXPECT_EQ(before, texts_of_source);
    return kept;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(kept_of("#define A 1\nstatic inline int f(void) { return 2; }\n", 0), Names{"uses.c"});
  EXPECT_EQ(kept_of("#define A 1\nint g(void);\n" + inline_function, 0), Names{});
  EXPECT_EQ(kept_of("#define A 2\n" + inline_function, 2), Names{"reads.c"});
  EXPECT_EQ(kept_of("#define A 1\nstruct s { int a; };\n" + inline_function, 2), (Names{"reads.c", "uses.c"}));
  // What the patch takes away isn't among what the patched text was made of.
  folder_.write("source/gone.h", "");
  patches_.removed = {"gone.h"};
  EXPECT_EQ(kept_of("#define A 1\nstatic inline int f(void) { return 2; }\n", 3), Names{"uses.c"});
}

TEST_F(Compiling, ALauncherStandsInFrontOfCompilesAlone) {
  PatchedView view(base_.source, folder_.path() / "view", patches_);
  Executor executor(folder_.path() / "log");
  executor.confine({"env", "CONFINED=yes"}, {});
  const std::string script = "echo \"$CONFINED$*\" >>" + (folder_.path() / "launched").string() + "; exec \"$@\"";
  CompileSettings settings{base_, view, folder_.path() / "objects", "/none", 2, {"sh", "-c", script, "sh"}};
  const Result<std::vector<AffectedObject>> kept = drop_equal_texts(objects(), settings, executor, {});
  EXPECT_FALSE(fs::exists(folder_.path() / "launched"));
  compile_pairs(*kept.value, false, settings, executor, {});
  const std::string launched = read_file(folder_.path() / "launched");
  const std::vector<std::string_view> lines = lines_of(launched);
  ASSERT_EQ(lines.size(), 2 * kept.value->size());
  for (const std::string_view line : lines) EXPECT_TRUE(line.starts_with("gcc -O2 ")) << line;
}

PairReport report_of(const std::string& source, int status) {
  PairReport report;
  report.pair.command.source = source;
  report.object = "vmlinux";
  report.status = status;
  if (status == exit_ok) report.changed.push_back({"f", "changed"});
  return report;
}

TEST(Choose, TakesWhatHasAnOutput) {
  const auto chosen = choose({report_of("a.c", exit_no_change), report_of("b.c", exit_ok)});
  ASSERT_EQ(chosen.value.value().size(), 1U);
  EXPECT_EQ(chosen.value->front().pair.command.source, "b.c");
  EXPECT_EQ(choose({report_of("a.c", exit_no_change)}).no_change, "the code is the same with the patch and without it");
  PairReport additions = report_of("b.c", exit_ok);
  additions.changed.clear();
  const auto none = choose({additions});
  EXPECT_FALSE(none.value);
  EXPECT_EQ(none.no_change, "the patch adds functions, but no function that is there changes");
}

class Reporting : public testing::Test {
 protected:
  Reporting() { options_.reports = {folder_.path() / "report.json"}; }

  // Prints to stderr and stdout.
  nlohmann::json written(const std::function<void(Reporter&)>& build, int status) {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    Console console(0);
    Reporter reporter(options_, console);
    try {
      build(reporter);
    } catch (const Ended&) {
      ended_ = true;
    }
    reporter.write();
    output_ = testing::internal::GetCapturedStdout();
    errors_ = testing::internal::GetCapturedStderr();
    EXPECT_EQ(reporter.status(), status);
    return nlohmann::json::parse(read_file_if_any(options_.reports.front()), nullptr, false);
  }

  static Finding finding(Severity severity) { return {"r", severity, {.source = "a.c"}, "m", {}}; }

  TemporaryFolder folder_;
  Options options_;
  bool ended_ = false;
  std::string output_, errors_;
};

TEST_F(Reporting, TheWorstFindingDecides) {
  const auto report = written(
      [](Reporter& reporter) {
        EXPECT_EQ(reporter.take(Result<int>{7, {finding(Severity::warning), finding(Severity::notice)}, {}}), 7);
        reporter.take({finding(Severity::warning), finding(Severity::refusal)});
      },
      exit_unpatchable);
  EXPECT_TRUE(ended_);
  EXPECT_EQ(errors_, "a.c: warning: m [r]\na.c: warning: m [r]\na.c: error: m [r]\n");
  EXPECT_EQ(report["exit"], exit_unpatchable);
  EXPECT_EQ(report["findings"].size(), 4U);
}

TEST_F(Reporting, AnErrorIsOne) {
  written(
      [](Reporter& reporter) {
        reporter.take({finding(Severity::refusal), finding(Severity::error)});
      },
      exit_error);
  EXPECT_TRUE(ended_);
}

TEST_F(Reporting, NothingToBuildIsSaidWithItsReason) {
  const auto report = written(
      [](Reporter& reporter) {
        reporter.take(Result<int>{{}, {}, "it is empty"});
      },
      exit_no_change);
  EXPECT_TRUE(ended_);
  EXPECT_EQ(output_, "no functional change: it is empty\n");
  EXPECT_EQ(report["exit"], exit_no_change);
}

TEST_F(Reporting, FailedBuildsAreReportedToo) {
  const auto report = written([](Reporter& reporter) { reporter.fail("a.c:3: error: no such thing"); }, exit_error);
  EXPECT_EQ(errors_, "a.c:3: error: no such thing\n");
  EXPECT_EQ(report["findings"][0]["message"], "a.c:3: error: no such thing");
}

TEST_F(Reporting, RefusedObjectsAreReportedWithTheirFindings) {
  PairReport refused = report_of("a.c", exit_unpatchable);
  refused.findings = {finding(Severity::refusal)};
  const auto report = written([&](Reporter& reporter) { reporter.take_compared({refused}); }, exit_unpatchable);
  EXPECT_TRUE(ended_);
  EXPECT_EQ(report["objects"][0]["findings"][0]["rule"], "r");
}

TEST_F(Reporting, NoticesAreForWhoAsks) {
  const auto take = [](Reporter& reporter) { reporter.take({finding(Severity::notice)}); };
  written(take, exit_ok);
  EXPECT_EQ(output_ + errors_, "");
  options_.explain = true;
  written(take, exit_ok);
  EXPECT_EQ(output_, "a.c: note: m [r]\n");
}

TEST_F(Reporting, NoReportLosesTheBuild) {
  folder_.write("file", "");
  options_.reports = {folder_.path() / "file/report.json"};
  written([](Reporter&) {}, exit_ok);
  EXPECT_EQ(errors_.find("warning: can't write "), 0U) << errors_;
  // The folder for the module may be none where there is no module.
  options_.reports = {folder_.path() / "none/report.json"};
  written([](Reporter&) {}, exit_ok);
  EXPECT_TRUE(std::filesystem::exists(options_.reports.front()));
  options_.reports = {folder_.path() / "report.json"};
  options_.patches = {folder_.path() / "fix-\xff.patch"};
  const auto report = written([](Reporter&) {}, exit_ok);
  EXPECT_EQ(report["patches"][0]["name"], "fix-\uFFFD.patch");
}

// The kernel refuses a second module of a name, loadable or built in: told before anything is compiled.
TEST(ModuleName, MustBeFree) {
  TemporaryFolder folder;
  Base base;
  base.modules = folder.path() / "modules/kernel";
  folder.write("modules/kernel/net/netfilter/xt-comment.ko.xz", "");
  folder.write("modules/modules.builtin", "kernel/fs/fuse/virtiofs.ko\nkernel/drivers/a/a-b.ko\n");
  for (const char* name : {"xt_comment", "xt-comment", "virtiofs", "a_b"}) {
    const std::string message = message_of<Error>([&] { require_free_name(base, name); });
    EXPECT_NE(message.find("the kernel has a module of that name"), std::string::npos) << name;
  }
  for (const char* name : {"livepatch-fix", "xt_comments", "comment", "fs"})
    EXPECT_NO_THROW(require_free_name(base, name));
}

TEST(Report, ThatCannotBeWrittenIsSaidAtOnce) {
  TemporaryFolder folder;
  Console console(0);
  folder.write("file", "");
  for (const fs::path& place : {folder.path() / "absent/r.json", folder.path() / "file/r.json", folder.path(),
                                folder.path() / (std::string(300, 'x') + ".json")}) {
    Options options;
    options.reports = {place};
    Reporter reporter(options, console);
    EXPECT_NE(message_of<Error>([&] { reporter.try_report(); }).find("--report"), std::string::npos) << place;
    reporter.write();  // says nothing a second time
  }
  Options options;
  options.reports = {folder.path() / "r.json"};
  options.patches = {"fix-\xff.patch"};  // no UTF-8
  Reporter reporter(options, console);
  reporter.try_report();
  EXPECT_FALSE(fs::exists(options.reports.front()));
  reporter.know_patches({{"fix-\xff.patch", "text"}});
  reporter.write();
  const auto report = nlohmann::json::parse(read_file(options.reports.front()));
  EXPECT_EQ(report["patches"][0]["name"], "fix-\xef\xbf\xbd.patch");
  EXPECT_EQ(report["patches"][0]["xxh3"].get<std::string>().size(), 32U);
}

}  // namespace
}  // namespace kpatch
