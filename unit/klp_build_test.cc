// klp-build's files and names: what is read of them, and what is wrong with it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "klp-build/catalogue.h"
#include "klp-build/codestream-job.h"
#include "klp-build/commands.h"
#include "klp-build/fixes.h"
#include "klp-build/options.h"
#include "klp-build/project.h"
#include "klp-build/settings.h"
#include "support/error.h"
#include "support/files.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using std::string;
using Words = std::vector<string>;

template <typename Call>
string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("klp-build-test." + random_name());
  Folder() { fs::create_directories(path); }
  ~Folder() { remove_tree(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

KlpCommandLine parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "klp-build");
  return *parse_klp_options(static_cast<int>(words.size()), words.data());
}

TEST(KlpBuildOptions, TheFoundingLineParses) {
  const KlpCommandLine line =
      parsed({"setup", "--name", "bsc1197597", "--cve", "2022-1048", "--mod", "snd-pcm", "--conf", "CONFIG_SND_PCM",
              "--file-funcs", "sound/core/pcm.c", "snd_pcm_attach_substream", "snd_pcm_detach_substream",
              "--codestreams", "15.5", "--archs", "x86_64", "ppc64le"});
  EXPECT_EQ(line.filter, "15.5");
  EXPECT_EQ(line.archs, (Words{"x86_64", "ppc64le"}));
  ASSERT_EQ(line.files.size(), 1u);
  EXPECT_EQ(line.files[0].module, "snd-pcm");
  EXPECT_EQ(line.files[0].conf, "CONFIG_SND_PCM");
  EXPECT_EQ(line.files[0].functions, (Words{"snd_pcm_attach_substream", "snd_pcm_detach_substream"}));
}

TEST(KlpBuildOptions, FilesAreKeptApart) {
  const KlpCommandLine line =
      parsed({"setup", "-n", "x", "--file-funcs", "a.c", "f", "--mod-file-funcs", "m", "b.c", "g", "h", "--file-funcs",
              "c.c", "i", "--conf-mod-file-funcs", "CONFIG_X", "n", "d.c", "j"});
  ASSERT_EQ(line.files.size(), 4u);
  EXPECT_EQ(line.files[1].module, "m");
  EXPECT_EQ(line.files[1].functions, (Words{"g", "h"}));
  EXPECT_EQ(line.files[2].file, "c.c");
  EXPECT_EQ(line.files[3].conf, "CONFIG_X");
}

TEST(KlpBuildOptions, AFileThatIsNamedAgainHasMoreFunctions) {
  const KlpCommandLine line =
      parsed({"setup", "-n", "x", "--file-funcs", "a.c", "f", "g", "--file-funcs", "a.c", "g", "h"});
  ASSERT_EQ(line.files.size(), 1u);
  EXPECT_EQ(line.files[0].functions, (Words{"f", "g", "h"}));
  EXPECT_EQ(error_of([] {
              parsed({"setup", "-n", "x", "--file-funcs", "a.c", "f", "--mod-file-funcs", "m", "a.c", "g"});
            }),
            "a.c is named twice, with another module or config");
}

TEST(KlpBuildOptions, SaysWhatIsWrong) {
  EXPECT_EQ(error_of([] {
              parsed({"setup", "-n", "x", "--conf", "SND", "--file-funcs", "a.c", "f"});
            }),
            "Invalid config SND: Missing CONFIG_ prefix");
  EXPECT_EQ(error_of([] {
              parsed({"setup", "-n", "x", "--file-funcs", "a.c"});
            }),
            "--file-funcs: expected FILE FUNCTION…");
  EXPECT_EQ(error_of([] { parsed({"extract"}); }), "extract: --name NAME is missing");
  EXPECT_NE(error_of([] { parsed({"setup", "-n", "x", "--archs", "vax"}); }).find("x86_64"), string::npos);
  EXPECT_NE(error_of([] { parsed({"setup", "-n", "x", "--conf", "CONFIG_X"}); }).find("which functions"), string::npos);
  EXPECT_TRUE(error_of([] { parsed({"unheard-of"}); }).starts_with("unheard-of: there is no such command"));
  EXPECT_TRUE(error_of([] { parsed({}); }).starts_with("a command is missing"));
}

TEST(KlpBuildOptions, WhatOlderScriptsGive) {
  const KlpCommandLine inlined = parsed({"check-inline", "--codestream", "6.12", "--file", "a.c", "--symbol", "f"});
  EXPECT_EQ(inlined.filter, "6.12");
  ASSERT_EQ(inlined.files.size(), 1u);
  EXPECT_EQ(inlined.files[0].functions, Words{"f"});
  EXPECT_EQ(parsed({"get-patches", "-n", "x", "--cve", "2022-1048"}).cve, "2022-1048");
  EXPECT_EQ(parsed({"setup", "-n", "x", "--skips", "6.1", "--data-dir", "/d"}).skips, "6.1");
  EXPECT_TRUE(parsed({"extract", "-n", "x", "--type", "ccp", "--apply-patches", "--ignore-errors"}).ignore_errors);
  EXPECT_EQ(parsed({"scan", "--cve", "2022-1048", "--download", "--conf", "CONFIG_X"}).conf, "CONFIG_X");
  EXPECT_TRUE(parsed({"format-patches", "-n", "x", "-v", "2", "--no-test"}).no_test);
  EXPECT_EQ(error_of([] { parsed({"extract", "-n", "x", "--type", "cp"}); }), "--type cp: there are ccp and ce");
  EXPECT_EQ(error_of([] {
              parsed({"check-inline", "--file", "a.c"});
            }),
            "check-inline: --file and --symbol are missing");
  EXPECT_EQ(error_of([] { parsed({"get-patches", "-n", "x"}); }), "get-patches: --cve YEAR-NUMBER is missing");
}

TEST(KlpBuildFilter, ANameIsNoExpression) {
  const Words names = {"15.5u40", "6.1.0-56-cloud-amd64", "6.12.117+deb12-cloud-amd64"};
  const auto chosen = [&](const string& expression) {
    const auto meant = filter_of(expression, names);
    Words result;
    for (const string& name : names)
      if (meant(name)) result.push_back(name);
    return result;
  };
  EXPECT_EQ(chosen(""), names);
  EXPECT_EQ(chosen("6.12.117+deb12-cloud-amd64"), (Words{names[2]}));
  EXPECT_EQ(chosen("6.12.117+"), (Words{names[2]}));
  EXPECT_EQ(chosen("^(?!6\\.1\\.).*"), (Words{names[0], names[2]}));
  EXPECT_EQ(chosen("cloud"), Words{});  // from the beginning
  EXPECT_EQ(chosen(".*cloud").size(), 2u);
  const string wrong = error_of([&] { filter_of("6.1(", names); });
  EXPECT_NE(wrong.find("at character 5"), string::npos) << wrong;
}

TEST(KlpBuildGroups, ARangeHoldsNobodyElse) {
  const Words all = {"15.3u10", "15.3u11", "15.3u12", "15.3u14", "6.12-x"};
  EXPECT_EQ(group_name({"15.3u10", "15.3u12"}, all), "15.3u10 15.3u12");
  EXPECT_EQ(group_name({"15.3u12", "15.3u14"}, all), "15.3u12-14");
  EXPECT_EQ(group_name({"15.3u14", "15.3u10", "15.3u11", "15.3u12", "6.12-x"}, all), "15.3u10-14 6.12-x");
}

TEST(KlpBuildCatalogue, ReadsACsv) {
  const auto list = parse_codestreams("# mine\n15.5u40,SLE, 6.12.117+deb12-cloud-amd64 ,2027-01-01\n", "c.csv");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].kernel, "6.12.117+deb12-cloud-amd64");
  EXPECT_EQ(list[0].base(), "15.5");
  EXPECT_EQ(list[0].arch(), "x86_64");
  EXPECT_EQ((Codestream{"r", "6.1.0-56-cloud-amd64", {}, {}, {}, {}, {}}).base(), "6.1-cloud");
  EXPECT_EQ(error_of([] { parse_codestreams("a,b\nc,d,e\nc,d,e\n", "c.csv"); }),
            "c.csv:1: expected NAME,PROJECT,KERNEL,UNTIL\nc.csv:3: c is there twice");
}

TEST(KlpBuildCatalogue, DaysUntilADate) {
  EXPECT_LT(*days_until("2020-02-29"), -2000);
  EXPECT_GT(*days_until("2099-01-01"), 20000);
  for (const char* none : {"", "soon", "2021-02-29", "2021-13-01"}) EXPECT_FALSE(days_until(none)) << none;
}

TEST(KlpBuildCatalogue, ReadsWhatItWritesAndTellsOthers) {
  const Folder folder;
  const fs::path file = folder.path / "codestreams.json";
  write_catalogue(file, {{"6.12.1+deb12-amd64", "6.12.1+deb12-amd64", "6.12.1-1", "bookworm", "", "", "source"}});
  ASSERT_EQ(read_catalogue(file).size(), 1u);
  EXPECT_EQ(read_catalogue(file)[0].missing, "source");
  write_file(file, R"({"version": 2, "codestreams": []})");
  EXPECT_EQ(error_of([&] { read_catalogue(file); }),
            file.string() +
                ": is of a later klp-build (version 2 of the file, this one knows 1); klp-build data --update "
                "writes it anew");
  write_file(file, R"({"codestreams": [{"kernel": 1}]})");
  EXPECT_NE(error_of([&] { read_catalogue(file); }).find("klp-build data --update writes it anew"), string::npos);
}

TEST(KlpBuildSettings, BothForms) {
  const Folder folder;
  fs::create_directories(folder.path / "tests");
  const KlpSettings plain = parse_settings("# seed\nwork_dir=~/klp\ndata_dir=~/data\n", "config", folder.path);
  EXPECT_EQ(plain.work_dir, folder.path / "klp");
  const KlpSettings sections = parse_settings(
      "[Paths]\nwork_dir = ~/klp\ndata_dir = /d\nkgr_patches_tests_dir = ~/tests\n[Settings]\nworkers = 10\n", "config",
      folder.path);
  EXPECT_EQ(sections.workers, 10u);
  EXPECT_EQ(sections.tests_dir, folder.path / "tests");
  const KlpSettings seed = parse_settings(
      "work_dir=~/klp\ndata_dir=~/data\nkernel_src_dir=~/tests\nkernel_dir=~/tests\n[Settings]\nbugzilla_api_key=x\n"
      "suites = bookworm, trixie\n",
      "config", folder.path);
  EXPECT_EQ(seed.kernel_src_dir, folder.path / "tests");
  EXPECT_EQ(seed.stable_git, folder.path / "tests") << "where no other is given";
  EXPECT_EQ(seed.suites, (Words{"bookworm", "trixie"}));
  const auto wrong = [&](const string& text) { return error_of([&] { parse_settings(text, "config", folder.path); }); };
  EXPECT_EQ(wrong("work_dir=~/a\n"), "config: data_dir is missing");
  EXPECT_EQ(wrong("[Paths]\nwork=a\n"), "config: there is no entry 'work' in [Paths]");
  EXPECT_EQ(wrong("tracker=/no/such\n"), "config: tracker: /no/such doesn't exist");
  EXPECT_EQ(wrong("[Settings]\nworkers=0\n"), "config: workers: '0' is no number of processes");
  EXPECT_TRUE(wrong("[Paths\n").starts_with("config:1: "));
}

TEST(KlpBuildProject, ReadsWhatItWritesAndTellsOthers) {
  const Folder folder;
  Project project;
  project.folder = folder.path / "p";
  project.name = "p";
  ProjectCodestream codestream;
  codestream.is.name = "15.5u40";
  codestream.is.kernel = "6.12.117+deb12-cloud-amd64";
  codestream.files.push_back({"a.c", "vmlinux", "CONFIG_A", {"f"}, {}, {}});
  project.codestreams = {codestream};
  fs::create_directories(project.folder);
  write_project(project);
  const Project again = read_project(folder.path, "p");
  EXPECT_EQ(again.codestreams.at(0).files.at(0).symbols, Words{"f"});
  EXPECT_EQ(again.module(), "livepatch_p");
  const auto with = [&](const string& text) {
    write_file(project.folder / "codestreams.json", text);
    return error_of([&] { read_project(folder.path, "p"); });
  };
  EXPECT_NE(with("{\"version\": 2}").find("of a later klp-build (version 2"), string::npos);
  EXPECT_NE(with("{\"codestreams\": {\"15.3u1\": {\"sle\": 15}}}").find("run klp-build setup again"), string::npos);
  EXPECT_NE(with("{").find("is no project"), string::npos);
  EXPECT_EQ(with("{\"codestreams\": {\"a\": {\"name\": \"a\", \"kernel\": \"b\"}}}"), "");
  EXPECT_NE(error_of([&] { read_project(folder.path, "q"); }).find("klp-build setup --name q"), string::npos);
  EXPECT_NE(error_of([] { require_project_name("../x"); }), "");
}

TEST(KlpBuildFixes, ReadsTrackersAndRecords) {
  EXPECT_EQ(cve_name("2022-1048"), "CVE-2022-1048");
  EXPECT_EQ(cve_name("CVE-2022-1048"), "CVE-2022-1048");
  EXPECT_NE(error_of([] { cve_name("2022"); }), "");
  const string tracker =
      R"({"linux": {"CVE-2022-1048": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "5.17.3-1"},
          "bullseye": {"status": "open"}}}}})";
  EXPECT_EQ(fixed_version_of(tracker, "t", "CVE-2022-1048", "bookworm"), "5.17.3-1");
  EXPECT_FALSE(fixed_version_of(tracker, "t", "CVE-2022-1048", "bullseye"));
  EXPECT_FALSE(fixed_version_of(tracker, "t", "CVE-2022-1", "bookworm"));
  EXPECT_NE(error_of([] { fixed_version_of("[]", "t", "c", "s"); }), "");
  const CveRecord record = parse_cve_record(
      R"({"containers": {"cna": {"affected": [
          {"programFiles": ["net/a.c"], "versions": [
            {"version": "1da1", "lessThan": "aaaa", "status": "affected", "versionType": "git"},
            {"version": "1da1", "lessThan": "bbbb", "status": "affected", "versionType": "git"}]},
          {"programFiles": ["net/a.c"], "versions": [
            {"version": "6.12.44", "lessThanOrEqual": "6.12.*", "status": "unaffected", "versionType": "semver"},
            {"version": "6.17", "lessThanOrEqual": "*", "status": "unaffected", "versionType": "original_commit_for_fix"}]}]}}})",
      "r");
  EXPECT_EQ(record.files, Words{"net/a.c"});
  EXPECT_EQ(record.commits, (Words{"aaaa", "bbbb"}));
  EXPECT_EQ(fixed_by_record(record, "6.12.117"), true);
  EXPECT_EQ(fixed_by_record(record, "6.12.9"), false);
  EXPECT_EQ(fixed_by_record(record, "6.1.50"), std::nullopt);
  EXPECT_NE(error_of([] { parse_cve_record("{}", "r"); }), "");
}

TEST(KlpBuildModules, OneOfThatName) {
  const Folder folder;
  for (const char* path : {"kernel/net/a/same-name.ko", "kernel/drivers/b/same_name.ko.xz", "kernel/net/one.ko"}) {
    fs::create_directories((folder.path / path).parent_path());
    write_file(folder.path / path, "");
  }
  write_file(folder.path / "modules.builtin", "kernel/lib/built-in-one.ko\n");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "one"), "");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "same-name"),
            "Module same-name is there twice: name one by its path, drivers/b/same_name or net/a/same-name");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "net/a/same-name"), "");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "sound/same-name"),
            "Module not found: sound/same-name: there is drivers/b/same_name, net/a/same-name");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "built_in_one"),
            "Module not found: built_in_one: it is in vmlinux");
  EXPECT_EQ(problem_with_module(folder.path / "kernel", "none"), "Module not found: none");
}

TEST(KlpBuildFixes, APatchIsTurnedRound) {
  const string text = "--- a/f.c\n+++ b/f.c\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n+more\n three\n";
  const string back = reverse_of(parse_patch("p", text));
  EXPECT_EQ(back, "--- b/f.c\n+++ a/f.c\n@@ -1,4 +1,3 @@\n one\n-2\n-more\n+two\n three\n");
}

TEST(KlpBuildGroups, WhatIsNumberedIsNoDifference) {
  EXPECT_EQ(normalised("/* from a/b.h:12 */\nint __UNIQUE_ID_x_12, y;\n"),
            normalised("/* from a/b.h:13 */\nint __UNIQUE_ID_x_7, y;\n"));
  EXPECT_NE(normalised("int y12;\n"), normalised("int y13;\n"));
}

}  // namespace
}  // namespace kpatch
