// What a base is decided by: configs, banners, compilers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "kernel/base-parts.h"
#include "kernel/cache.h"
#include "kernel/source-tree.h"
#include "support/digest.h"
#include "support/error.h"
#include "support/files.h"
#include "support/text.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

constexpr const char* whole_config =
    "CONFIG_MODULES=y\nCONFIG_LIVEPATCH=y\nCONFIG_KALLSYMS_ALL=y\nCONFIG_DYNAMIC_FTRACE_WITH_REGS=y\nCONFIG_DEBUG_INFO="
    "y\n";

std::string without(const std::string& option) {
  std::string text = whole_config;
  const std::string line = "CONFIG_" + option + "=y\n";
  return text.erase(text.find(line), line.size());
}

TEST(Config, NamesEachMissingOption) {
  EXPECT_TRUE(missing_options(KernelConfig::parse(whole_config)).empty());
  for (std::string option : {"MODULES", "LIVEPATCH", "KALLSYMS_ALL", "DYNAMIC_FTRACE_WITH_REGS", "DEBUG_INFO"}) {
    const KernelConfig config = KernelConfig::parse(fmt::format("{}CONFIG_{}=n\n", without(option), option));
    auto missing = missing_options(config);
    ASSERT_EQ(missing.size(), 1U) << option;
    EXPECT_TRUE(missing[0].starts_with("CONFIG_" + option)) << missing[0];
    EXPECT_EQ(message_of<Error>([&] { require_livepatch(config, "my.config"); }).find("my.config: CONFIG_" + option),
              0U);
  }
  const std::string args = without("DYNAMIC_FTRACE_WITH_REGS") + "CONFIG_DYNAMIC_FTRACE_WITH_ARGS=y\n";
  EXPECT_TRUE(missing_options(KernelConfig::parse(args)).empty());
  EXPECT_EQ(missing_options({}).size(), 5U);
}

TEST(Config, ReadsAllForms) {
  auto config = KernelConfig::parse(
      "# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_C=\"a=b\"\r\nCONFIG_D=n\nCONFIG_E=0x10\nnoise\nCONFIG_F=y");
  using Options = std::map<std::string, std::string, std::less<>>;
  EXPECT_EQ(config.options(), (Options{{"B", "m"}, {"C", "\"a=b\""}, {"E", "0x10"}, {"F", "y"}}));
  for (const char* on : {"B", "F"}) EXPECT_TRUE(config.enabled(on)) << on;
  for (const char* off : {"A", "C", "D", "E", "", "CONFIG_F"}) EXPECT_FALSE(config.enabled(off)) << off;
  EXPECT_EQ(config.value("E"), "0x10");
  EXPECT_EQ(config.value("A"), "");
}

TEST(Config, AcceptsOnlyHarmlessDifferences) {
  struct Case {
    const char* before;
    const char* after;
    bool accepted;
    bool accepted_with_other_compiler;
    const char* advice;
  };
  for (auto& c : {
           Case{"CONFIG_CC_VERSION_TEXT=\"gcc-12 (X) 12\"", "CONFIG_CC_VERSION_TEXT=\"gcc (X) 12\"", true, true, ""},
           Case{"", "CONFIG_BUILD_SALT=\"\"", true, true, ""},
           Case{"", "CONFIG_MODULE_SIG_ALL=y", true, true, ""},
           Case{"", "CONFIG_SYSTEM_TRUSTED_KEYS=\"\"", true, true, ""},
           Case{"CONFIG_RUSTC_VERSION=0", "CONFIG_RUSTC_VERSION=109500", true, true, ""},
           Case{"", "CONFIG_RUSTC_HAS_COERCE_POINTEE=y", true, true, ""},
           Case{"CONFIG_PAHOLE_VERSION=124", "CONFIG_PAHOLE_VERSION=125", true, true, ""},
           Case{"CONFIG_DEBUG_INFO_BTF=y", "", false, false, "pahole"},
           Case{"CONFIG_DEBUG_INFO_BTF_MODULES=y", "# CONFIG_DEBUG_INFO_BTF_MODULES is not set", false, false,
                "pahole"},
           Case{"CONFIG_GCC_VERSION=120200", "CONFIG_GCC_VERSION=130100", false, true, "compiler"},
           Case{"CONFIG_CC_HAS_SLS=y", "", false, true, "compiler"},
           Case{"CONFIG_MODULE_SIG=y", "", false, false, "CONFIG_MODULE_SIG"},
           Case{"CONFIG_HZ=250", "CONFIG_HZ=1000", false, false, "CONFIG_HZ: 250 in the kernel, 1000 here"},
           Case{"CONFIG_RUST=y", "", false, false, "rustc"},
       }) {
    auto shipped = KernelConfig::parse(c.before), ours = KernelConfig::parse(c.after);
    auto found = config_differences(shipped, ours, false);
    EXPECT_EQ(found.empty(), c.accepted) << c.before;
    if (!found.empty()) {
      EXPECT_NE(found[0].find(c.advice), std::string::npos) << found[0];
    }
    EXPECT_EQ(config_differences(shipped, ours, true).empty(), c.accepted_with_other_compiler) << c.before;
  }
}

constexpr const char* banner_61 =
    "Linux version 6.1.0-9-cloud-amd64 (someone@example.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld "
    "(GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.27-1 (2023-05-08)";
constexpr const char* banner_own = "Linux version 6.13.0-rc2+ (me@here) (clang version 16.0.6, LLD 16.0.6) #3 SMP";

// Up to 5.15 as a command of its own, then as the end of others, since 5.18 also over whole modules.
TEST(Config, AKernelWhoseObjtoolCannotSeeAWholeModuleIsRefused) {
  TemporaryFolder folder;
  constexpr const char* command = "define rule_cc_o_c\n\t$(call cmd,objtool)\nendef\ncmd_link_multi-m = $(LD) -r\n";
  constexpr const char* end_of_another = "cmd_cc_o_c = $(CC) -c $< $(cmd_objtool)\ncmd_link_multi-m = $(LD) -r\n";
  constexpr const char* delayed = "delay-objtool := $(or $(CONFIG_LTO_CLANG),$(CONFIG_X86_KERNEL_IBT))\n";
  struct Case {
    const char* config;
    const char* args;
    const char* rules;
    bool single_files, accepted;
  };
  for (const Case& c : {Case{"CONFIG_STACK_VALIDATION=y\n", "", command, true, true},
                        Case{"CONFIG_STACK_VALIDATION=y\nCONFIG_LTO_CLANG=y\n", "", command, true, false},
                        Case{"CONFIG_STACK_VALIDATION=y\n", "", end_of_another, true, false},
                        Case{"CONFIG_STACK_VALIDATION=y\n", "", "$(call cmd,objtool)\n", true, false},
                        Case{"CONFIG_OBJTOOL=y\n", "objtool-args = --module\n", "", true, false},
                        Case{"CONFIG_OBJTOOL=y\n", delayed, end_of_another, false, true},
                        Case{"CONFIG_HAVE_STACK_VALIDATION=y\n", "", "", false, true}}) {
    folder.write("scripts/Makefile.lib", c.args);
    folder.write("scripts/Makefile.build", c.rules);
    const auto config = KernelConfig::parse(c.config);
    EXPECT_EQ(objtool_sees_single_files(config, folder.path()), c.single_files) << c.config << c.rules;
    const std::string message = message_of<Error>([&] { require_whole_objtool(config, folder.path()); });
    EXPECT_EQ(message.empty(), c.accepted) << c.config << c.rules << message;
    EXPECT_EQ(message.find("runs objtool over single files only") != std::string::npos, !c.accepted) << message;
  }
}

TEST(Banner, SaysReleaseVersionAndCompiler) {
  EXPECT_EQ(release_of_banner(banner_61), "6.1.0-9-cloud-amd64");
  EXPECT_EQ(version_of_banner(banner_61), "6.1.27");
  EXPECT_EQ(compiler_of_banner(banner_61), "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0");
  EXPECT_EQ(version_of_banner("Linux version 6.12.117+deb12-cloud-amd64 (a) (b, GNU ld 2) #1 SMP Debian "
                              "6.12.117-1~deb12u1 (2026-11-14)"),
            "6.12.117");
  EXPECT_EQ(release_of_banner(banner_own), "6.13.0-rc2+");
  EXPECT_EQ(version_of_banner(banner_own), "6.13.0-rc2");
  EXPECT_EQ(compiler_of_banner(banner_own), "clang version 16.0.6");
  EXPECT_EQ(
      compiler_of_banner("Linux version 6.1.2 (me@here) (Fancy clang version 16.0.6 (15~x), Fancy LLD 16.0.6) #1"),
      "Fancy clang version 16.0.6 (15~x)");
  EXPECT_EQ(release_of_banner("no banner"), "");
}

TEST(Compiler, IsTheSameUnderAnotherName) {
  EXPECT_EQ(compiler_identity("gcc (Debian 12.2.0-14) 12.2.0"),
            compiler_identity("x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0"));
  EXPECT_NE(compiler_identity("gcc (Debian 12.2.0-14) 12.2.0"), compiler_identity("gcc (Debian 12.2.0-13) 12.2.0"));
  EXPECT_EQ(compiler_candidates("x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0"),
            (std::vector<std::string>{"gcc-12", "x86_64-linux-gnu-gcc-12", "gcc"}));
  EXPECT_EQ(compiler_candidates("Debian clang version 16.0.6 (15~deb12u1)"),
            (std::vector<std::string>{"clang-16", "clang"}));
  EXPECT_EQ(compiler_candidates(""), std::vector<std::string>{"gcc"});
}

TEST(Compiler, AMissingOneIsNamed) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  Console console(0);
  std::string text = "gcc-99 (Fancy 99.1.0-1) 99.1.0";
  EXPECT_NE(message_of<Error>([&] {
              find_compiler(text, false, executor);
            }).find("compiled by gcc-99 (Fancy 99.1.0-1) 99.1.0"),
            std::string::npos);
}

TEST(SourceVersion, ComesFromTheMakefile) {
  TemporaryFolder folder;
  folder.write("Makefile", "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = x\n");
  EXPECT_EQ(kernel_version(folder.path()), "6.12.117");
  folder.write("Makefile", "VERSION = 6\nPATCHLEVEL = 13\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\n");
  EXPECT_EQ(kernel_version(folder.path()), "6.13.0-rc2");
  folder.write("Makefile", "all:\n");
  EXPECT_THROW(kernel_version(folder.path()), Error);
}

// Whatever a base is made from is in its key; the name of what changed is what --explain shows.
TEST(BaseKey, HoldsEveryInput) {
  const BaseInputs same = {.kind = "stock 3",
                           .release = "6.12",
                           .source = "digest",
                           .source_path = "/cache/source",
                           .config = "CONFIG_A=y\n",
                           .symvers = "0x1 f vmlinux EXPORT_SYMBOL\n",
                           .vmlinux = "digest",
                           .targets = "vmlinux",
                           .compiler = "gcc-12: 12.2.0",
                           .tools = {{"assembler", "2.40"}, {"pahole", "v1.24"}},
                           .code_makers = "digest"};
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  cache.entry("base", key_of(same), "it", [](const std::filesystem::path&) {});
  EXPECT_TRUE(cache.find("base", key_of(same)));
  const auto differs = [&](const char* name, auto change) {
    BaseInputs other = same;
    change(other);
    EXPECT_FALSE(cache.find("base", key_of(other))) << name;
    EXPECT_EQ(cache.why_missing("base", key_of(other)), std::vector<std::string>{name});
  };
  differs("base", [](BaseInputs& i) { i.kind = "own 2"; });
  differs("release", [](BaseInputs& i) { i.release = "6.13"; });
  differs("source", [](BaseInputs& i) { i.source = "other"; });
  differs("source path", [](BaseInputs& i) { i.source_path = "/other"; });
  differs("config", [](BaseInputs& i) { i.config += "CONFIG_B=y\n"; });
  differs("Module.symvers", [](BaseInputs& i) { i.symvers = "0x2 f vmlinux EXPORT_SYMBOL\n"; });
  differs("vmlinux", [](BaseInputs& i) { i.vmlinux = "other"; });
  differs("targets", [](BaseInputs& i) { i.targets = "modules"; });
  differs("compiler", [](BaseInputs& i) { i.compiler = "gcc-12: 12.2.1"; });
  differs("assembler", [](BaseInputs& i) { i.tools[0].second = "2.41"; });
  differs("pahole", [](BaseInputs& i) { i.tools[1].second = "none"; });
  differs("compiler's files", [](BaseInputs& i) { i.code_makers = "other"; });
  differs("checks", [](BaseInputs& i) { i.skip_compiler_check = true; });
}

// The names of the lines in which two keys differ.
std::set<std::string> differences(const CacheKey& a, const CacheKey& b) {
  std::set<std::string> names;
  for (const auto& [one, other] : {std::pair(a.text(), b.text()), std::pair(b.text(), a.text())})
    for (const std::string_view line : lines_of(one))
      if (const std::string name(line.substr(0, line.find(": ")));
          CacheKey::field(one, name) != CacheKey::field(other, name))
        names.insert(name);
  return names;
}

using Fields = std::set<std::string>;

// What a stock base is made from: each changed by itself, as a user would.
class InputsOfABase : public testing::Test {
 protected:
  InputsOfABase() : console_(0), cache_(folder_.path() / "c", console_), executor_(folder_.path() / "log") {
    files_.source = folder_.path() / "source";
    files_.source_identity = "linux 6.12";
    files_.config = folder_.write("config", "CONFIG_A=y\n");
    files_.vmlinux = folder_.write("vmlinux", "kernel");
    files_.symvers = folder_.write("Module.symvers", "0x1 f vmlinux EXPORT_SYMBOL\n");
    for (const char* program : {"ld", "pahole", "rustc", "bindgen", "gcc"}) tool(program, "1");
    tool("my-as", "1");
    path_ = std::getenv("PATH");
    setenv("PATH", (folder_.path().string() + "/bin:" + path_).c_str(), 1);
  }
  ~InputsOfABase() override { setenv("PATH", path_.c_str(), 1); }

  void tool(const std::string& name, const std::string& version) {
    folder_.write("bin/" + name,
                  "#!/bin/sh\ncase $1 in -print-prog-name=as) echo my-as;; *) echo " + version + ";; esac\n", true);
  }
  const Toolchain& tools() {
    toolchain_.tools = toolchain(toolchain_.compiler, executor_);
    return toolchain_;
  }
  CacheKey stock() { return key_of(stock_inputs(options_, files_, release_, tools(), cache_)); }
  CacheKey own() {
    return key_of(own_inputs(options_, {files_.source, files_.source_identity}, files_.config, tools()));
  }
  // What asks each for its version, and the field that has the answer.
  static constexpr std::pair<const char*, const char*> programs[] = {{"my-as", "assembler"}, {"ld", "linker"},
                                                                     {"pahole", "pahole"},   {"rustc", "rustc"},
                                                                     {"bindgen", "bindgen"}, {"gcc", "host compiler"}};

  TemporaryFolder folder_;
  Console console_;
  Cache cache_;
  Executor executor_;
  BaseOptions options_;
  KernelFiles files_;
  std::string release_ = "6.12", path_;
  Toolchain toolchain_{{{"gcc"}, "gcc 12"}, {}, {}, "digest"};
};

TEST_F(InputsOfABase, OfAStockKernelAreInItsKey) {
  const auto differs = [&](auto change) {
    const CacheKey before = stock();
    change();
    return differences(before, stock());
  };
  EXPECT_EQ(differs([] {}), Fields{});
  EXPECT_EQ(differs([&] { release_ = "6.13"; }), Fields{"release"});
  EXPECT_EQ(differs([&] { files_.source_identity = "linux 6.13"; }), Fields{"source"});
  EXPECT_EQ(differs([&] { files_.source = "/elsewhere"; }), Fields{"source path"});
  EXPECT_EQ(differs([&] { folder_.write("config", "CONFIG_A=m\n"); }), Fields{"config"});
  EXPECT_EQ(differs([&] { folder_.write("Module.symvers", "0x2 f\n"); }), Fields{"Module.symvers"});
  EXPECT_EQ(differs([&] { folder_.write("vmlinux", "another"); }), Fields{"vmlinux"});
  EXPECT_EQ(differs([&] { toolchain_.compiler.version = "gcc 13"; }), Fields{"compiler"});
  EXPECT_EQ(differs([&] { options_.toolchain.skip_compiler_check = true; }), Fields{"checks"});
  EXPECT_EQ(differs([&] { toolchain_.root = "/root"; }), Fields{"toolchain"});
  for (const auto& [program, field] : programs) EXPECT_EQ(differs([&] { tool(program, "2"); }), Fields{field});
}

TEST_F(InputsOfABase, OfAnOwnKernelAreInItsKey) {
  const auto differs = [&](auto change) {
    const CacheKey before = own();
    change();
    return differences(before, own());
  };
  EXPECT_EQ(differs([] {}), Fields{});
  EXPECT_EQ(differs([&] { files_.source_identity = "linux 6.13"; }), Fields{"source"});
  EXPECT_EQ(differs([&] { files_.source = "/elsewhere"; }), Fields{"source path"});
  EXPECT_EQ(differs([&] { folder_.write("config", "CONFIG_A=m\n"); }), Fields{"config"});
  EXPECT_EQ(differs([&] { options_.targets = {"vmlinux", "modules"}; }), Fields{"targets"});
  EXPECT_EQ(differs([&] { toolchain_.compiler.version = "gcc 13"; }), Fields{"compiler"});
  EXPECT_EQ(differs([&] { toolchain_.code_makers = "other"; }), Fields{"compiler's files"});
  EXPECT_EQ(differs([&] { toolchain_.root = "/root"; }), Fields{"toolchain"});
  for (const auto& [program, field] : programs) EXPECT_EQ(differs([&] { tool(program, "2"); }), Fields{field});
}

TEST_F(InputsOfABase, OfAStockAndAnOwnKernelAreNotTheSame) {
  EXPECT_TRUE(differences(stock(), own()).contains("base"));
}

// A tool that is replaced, or taken away, gives another base.
TEST(BaseKey, ToolsSayWhichTheyAre) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const std::string path = std::getenv("PATH");
  const auto versions = [&] {
    std::map<std::string, std::string> found;
    for (auto& [name, version] : toolchain({{"gcc"}, ""}, executor)) found[name] = version;
    return found;
  };
  setenv("PATH", (folder.path().string() + ":" + path).c_str(), 1);
  const std::map<std::string, std::string> programs = {
      {"linker", "ld"}, {"pahole", "pahole"}, {"rustc", "rustc"}, {"bindgen", "bindgen"}};
  for (const auto& [name, program] : programs) {
    folder.write(program, "#!/bin/sh\necho first\n", true);
    EXPECT_EQ(versions()[name], "first") << name;
    folder.write(program, "#!/bin/sh\necho second\n", true);
    EXPECT_EQ(versions()[name], "second") << name;
    folder.write(program, "#!/bin/sh\nexit 1\n", true);
    EXPECT_EQ(versions()[name], "none") << name;
  }
  folder.write("my-as", "#!/bin/sh\necho assembled\n", true);
  folder.write("gcc", "#!/bin/sh\ncase $1 in -print-prog-name=as) echo my-as;; *) echo native;; esac\n", true);
  EXPECT_EQ(versions()["assembler"], "assembled");
  EXPECT_EQ(versions()["host compiler"], "native");
  setenv("PATH", path.c_str(), 1);
}

// Two compilers may say the same of themselves; what one of them made is not the other's.
TEST(CodeMakers, AreToldApartByTheirFilesAndTheEnvironment) {
  TemporaryFolder folder;
  Executor executor(folder.path() / "log");
  const auto program = [&](const std::string& name, const std::string& comment) {
    return folder.write(name,
                        "#!/bin/sh\n# " + comment + "\ncase $1 in -print-prog-name=*) echo " + folder.path().string() +
                            "/${1#*=};; *) echo 'gcc 12';; esac\n",
                        true);
  };
  for (const char* name : {"gcc", "cc1", "as"}) program(name, "one");
  const auto digest_of_program = [](const std::string& name) {
    const auto file = find_program(name);
    return file ? digest_of_file(*file) : "none";
  };
  const Compiler compiler{{(folder.path() / "gcc").string()}, "gcc 12"};
  const auto now = [&] { return code_makers(compiler, executor, {}, digest_of_program); };
  const std::string first = now();
  EXPECT_EQ(now(), first);
  for (const char* name : {"gcc", "cc1", "as"}) {
    program(name, "another");
    EXPECT_NE(now(), first) << name;
    program(name, "one");
    EXPECT_EQ(now(), first) << name;
  }
  ASSERT_EQ(std::getenv("CPATH"), nullptr);
  setenv("CPATH", "/else", 1);
  EXPECT_NE(now(), first);
  unsetenv("CPATH");
  EXPECT_EQ(now(), first);
  std::filesystem::remove(folder.path() / "cc1");
  EXPECT_NE(now(), first);
}

TEST(Config, TellsWhatAnOwnKernelLost) {
  const auto given =
      KernelConfig::parse("CONFIG_A=y\nCONFIG_DEBUG_INFO_BTF=y\nCONFIG_B=m\nCONFIG_CC_VERSION_TEXT=\"x\"\n");
  const auto made = KernelConfig::parse("CONFIG_A=y\nCONFIG_B=y\nCONFIG_NEW=y\nCONFIG_CC_VERSION_TEXT=\"y\"\n");
  const auto lost = lost_options(given, made);
  ASSERT_EQ(lost.size(), 2U);
  EXPECT_EQ(lost[0].find("CONFIG_B: m in the config, y in the kernel that was built"), 0U) << lost[0];
  EXPECT_NE(lost[1].find("install pahole"), std::string::npos) << lost[1];
  EXPECT_TRUE(lost_options(made, made).empty());
}

TEST(Config, RandomCodeIsRefusedByName) {
  struct Case {
    const char* text;
    bool own_seed;
    const char* says;
  };
  for (const auto& c :
       {Case{"CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y", true, "GCC_PLUGIN_LATENT_ENTROPY"},
        Case{"CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y", false, "GCC_PLUGIN_LATENT_ENTROPY"},
        Case{"CONFIG_RANDSTRUCT=y", false, "CONFIG_RANDSTRUCT"},
        Case{"CONFIG_GCC_PLUGIN_RANDSTRUCT=y", false, "CONFIG_GCC_PLUGIN_RANDSTRUCT"},
        Case{"CONFIG_RANDSTRUCT=y", true, ""}, Case{"CONFIG_RANDSTRUCT_NONE=y\nCONFIG_GCC_PLUGINS=y", false, ""}}) {
    const auto message =
        message_of<Error>([&] { require_no_random_code(KernelConfig::parse(c.text), "my.config", c.own_seed); });
    EXPECT_EQ(message.empty(), *c.says == 0) << c.text;
    EXPECT_NE(message.find(c.says), std::string::npos) << message;
  }
}

TEST(Config, UbuntusSignatureTellsTheVersion) {
  const auto config = KernelConfig::parse("CONFIG_VERSION_SIGNATURE=\"Ubuntu 5.15.0-91.101-generic 5.15.131\"\n");
  EXPECT_NO_THROW(check_signature(config, "5.15.131"));
  EXPECT_NE(message_of<Error>([&] { check_signature(config, "5.15.130"); }).find("the kernel is 5.15.131"),
            std::string::npos);
  EXPECT_NO_THROW(check_signature(KernelConfig::parse("CONFIG_A=y\n"), "5.15.130"));
}

// A program of another version must not come upon an index that it can't read.
TEST(VmlinuxIndex, IsKeptUnderTheVersionOfItsLayout) {
  TemporaryFolder folder;
  Console console(0);
  Cache cache(folder.path() / "c", console);
  const std::string bytes = read_file(vmlinux_index("/proc/self/exe", cache, console));
  uint32_t version = 0;  // behind the magic and the byte order mark
  std::memcpy(&version, bytes.data() + 12, sizeof version);
  ASSERT_EQ(cache.entries("vmlinux").size(), 1U);
  EXPECT_EQ(CacheKey::field(cache.entries("vmlinux")[0].key, "index"), std::to_string(version));
}

}  // namespace
}  // namespace kpatch
