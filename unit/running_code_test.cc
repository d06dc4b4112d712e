// The code that runs against what was shipped: what goes into the note, and what is said of a machine's memory.
#include "kpatch/running-code.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arch/arch.h"
#include "klp/shipped-code.h"
#include "support/files.h"
#include "unit/skip.h"
#include "unit/temporary_folder.h"

namespace kpatch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// ---- the machine

std::string note_of(const json& text) {
  const std::string body = text.dump();
  const Elf64_Nhdr header{7, static_cast<Elf64_Word>(body.size()), 2};
  std::string note(reinterpret_cast<const char*>(&header), sizeof header);
  return note + std::string("kpatch\0\0", 8) + body;
}

class RunningCode : public testing::Test {
 protected:
  RunningCode() { remember("f3901122334455"); }

  void put(const std::string& file, const std::string& text) { folder_.write(file.substr(1), text); }
  void remember(const std::string& code, json more = json::object()) {
    json function = {{"object", "vmlinux"}, {"name", "f"}, {"address", base}, {"code", code}};
    function.update(more);
    module_.code_note = note_of({{"version", 1}, {"build_id", ""}, {"functions", json::array({function})}});
  }
  // A core file with these bytes at `at`, of a kernel that was moved by 0x1000.
  void memory(const std::string& bytes, uint64_t at = base + 0x1000) {
    const std::string text = "OSRELEASE=6.12\nKERNELOFFSET=1000\nX=1\n";
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_phoff = sizeof header;
    header.e_phnum = 2;
    Elf64_Phdr note{}, load{};
    note.p_type = PT_NOTE;
    note.p_offset = sizeof header + 2 * sizeof note;
    note.p_filesz = text.size();
    load.p_type = PT_LOAD;
    load.p_offset = note.p_offset + text.size();
    load.p_vaddr = at;
    load.p_memsz = load.p_filesz = bytes.size();
    std::string file;
    for (const auto& [from, size] :
         {std::pair<const void*, size_t>(&header, sizeof header), {&note, sizeof note}, {&load, sizeof load}})
      file.append(static_cast<const char*>(from), size);
    put("/proc/kcore", file + text + bytes);
  }
  std::vector<std::string> said() {
    std::vector<std::string> list;
    for (const Hook& hook : foreign_code(system_, module_))
      list.push_back(std::string(word_for(hook.bearing)) + ": " + sentence_of(hook));
    return list;
  }
  using Said = std::vector<std::string>;

  static constexpr uint64_t base = 0xffffffff81000000;
  TemporaryFolder folder_;
  // Time passes at once; what comes then may be told by a function.
  struct Machine : System {
    using System::System;
    void sleep(std::chrono::milliseconds) override {
      ++sleeps;
      if (then) then();
    }
    int sleeps = 0;
    std::function<void()> then;
  };
  Machine system_{folder_.path()};
  ModuleFile module_;
};

TEST_F(RunningCode, TheSame) {
  memory("\xf3\x90\x11\x22\x33\x44\x55");
  EXPECT_EQ(said(), Said{});
}

TEST_F(RunningCode, EachByteCounts) {
  const std::string code = "\xf3\x90\x11\x22\x33\x44\x55";
  for (size_t i = 0; i < code.size(); ++i) {
    std::string other = code;
    other[i] = static_cast<char>(other[i] + 1);
    memory(other);
    ASSERT_EQ(said().size(), 1U) << i;
    EXPECT_EQ(said()[0].find("other code: f isn't the function that was shipped: 1 byte of it differs, first at +0x" +
                             std::to_string(i)),
              0U)
        << said()[0];
  }
}

TEST_F(RunningCode, WhatIsLeftOutDoesNot) {
  remember("f390??22??4455");
  memory("\xf3\x90\xcc\x22\xcc\x44\x55");
  EXPECT_EQ(said(), Said{});
  memory("\xf3\x90\xcc\x23\xcc\x44\x55");
  EXPECT_EQ(said().size(), 1U);
}

TEST_F(RunningCode, ACallToThePaddingInFrontOfTheSameFunction) {
  remember("e820000000", {{"calls", {1}}});
  memory(std::string("\xe8\x10\0\0\0", 5));
  EXPECT_EQ(said(), Said{});
  for (const char distance : {'\x0f', '\x21'}) {
    memory(std::string("\xe8") + distance + std::string(3, '\0'));
    EXPECT_EQ(said().size(), 1U);
  }
}

TEST_F(RunningCode, AProbeIsToldOfByItself) {
  memory("\xf3\x90\xcc\x22\x33\x44\x55");
  EXPECT_EQ(said().size(), 1U);
  put("/sys/kernel/debug/kprobes/list", "ffffffff81001002  k  f+0x2    \n");
  EXPECT_EQ(said(), Said{});
  put("/sys/kernel/debug/kprobes/list", "ffffffff81001002  k  g+0x2    \n");
  EXPECT_EQ(said().size(), 1U);
}

TEST_F(RunningCode, AProbeThatIsGoneMayStillJump) {
  memory("\xf3\x90\xe9\x22\x33\x44\x55");
  system_.then = [&] {
    if (system_.sleeps == 3) memory("\xf3\x90\x11\x22\x33\x44\x55");
  };
  EXPECT_EQ(said(), Said{});
  EXPECT_EQ(system_.sleeps, 3);
  EXPECT_EQ(said(), Said{});
  EXPECT_EQ(system_.sleeps, 3);
}

TEST_F(RunningCode, WhatCannotBeReadIsNotKnown) {
  EXPECT_EQ(said(), Said{"not known: the code that runs can't be compared: /proc/kcore can't be read"});
  memory("\xf3\x90\x11\x22\x33\x44\x55", base + 0x9000);
  EXPECT_EQ(said(), Said{"not known: f can't be compared with what was shipped: its memory can't be read"});
  memory(std::string(7, '\0'));
  EXPECT_EQ(said().size(), 1U);
  put("/proc/kcore",
      "\x7f"
      "ELF");
  EXPECT_EQ(said().size(), 1U);
}

TEST_F(RunningCode, AModule) {
  remember("f390", {{"object", "m"}, {"section", ".text"}, {"address", 16}});
  memory("\xf3\x90");
  EXPECT_EQ(said(), Said{});  // it isn't there
  put("/sys/module/m/sections/.text", "0xffffffff81000ff0\n");
  EXPECT_EQ(said(), Said{});
  memory("\xf3\x91");
  EXPECT_EQ(said().size(), 1U);
  put("/sys/module/m/sections/.text", "0x0000000000000000\n");
  EXPECT_EQ(said(), Said{"not known: f can't be compared with what was shipped: where it lies isn't told"});
}

TEST_F(RunningCode, AnotherBuildOfTheRelease) {
  memory("\xf3\x90\x11\x22\x33\x44\x55");
  module_.code_note = note_of({{"version", 1}, {"build_id", "0102"}, {"functions", json::array()}});
  put("/sys/kernel/notes", std::string("\4\0\0\0\2\0\0\0\3\0\0\0GNU\0\1\2\0\0", 20));
  EXPECT_EQ(said(), Said{});
  put("/sys/kernel/notes", std::string("\4\0\0\0\2\0\0\0\3\0\0\0GNU\0\1\3\0\0", 20));
  ASSERT_EQ(said().size(), 1U);
  EXPECT_EQ(said()[0].find("other code: the kernel that runs is another build"), 0U);
}

TEST_F(RunningCode, DamagedNotes) {
  memory("\xf3\x90\x11\x22\x33\x44\x55");
  const std::string good = module_.code_note;
  for (size_t size = 1; size < good.size(); ++size) {
    module_.code_note = good.substr(0, size);
    EXPECT_EQ(said().size(), 1U) << size;
  }
  for (const json& more :
       {json{{"code", "f"}}, json{{"code", "zz"}}, json{{"code", 1}}, json{{"code", ""}}, json{{"address", -1}},
        json{{"object", "../x"}}, json{{"section", "/"}}, json{{"name", ""}}}) {
    remember("f390", more);
    EXPECT_EQ(said(), Said{"not known: what the livepatch says of the code that it was made for is damaged"}) << more;
  }
  module_.code_note.clear();
  EXPECT_EQ(said(), Said{});
}

// ---- the note

class ShippedCodeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (find_arch(host_machine()) == nullptr || host_machine() != EM_X86_64) SKIP_MACHINE("for x86-64");
  }
  void assemble(const std::string& text, const std::string& command) const {
    folder_.write("a.s", text);
    ASSERT_EQ(std::system(("cd '" + folder_.path().string() + "' && as --64 -o a.o a.s && " + command).c_str()), 0);
  }
  // What of a function is compared: "=..="
  std::string compared(const std::string& file, const std::string& name) const {
    const Binary binary = Binary::open(folder_.path() / file);
    const ShippedCode shipped(binary, "vmlinux", LoaderModel("6.12.1", nullptr, find_arch(EM_X86_64)));
    const auto function = shipped.function(binary.named(name).front());
    if (!function) return "none";
    std::string text;
    for (size_t i = 0; i < function->code.size(); ++i) text += function->compared[i] ? '=' : '.';
    for (const uint64_t at : function->calls) text += " call " + std::to_string(at);
    return text;
  }
  TemporaryFolder folder_;
};

constexpr const char* kernel = R"(
.text
.globl _text
_text: nop
.globl f
.type f, @function
f: endbr64                       # 4, sealed
0: call g                        # 5, a place of ftrace
1: lock incl (%rdi)              # 3, its prefix
   mov $text, %rsi               # 7, an address
   mov percpu(%rip), %eax        # 6, a distance out of the image
   mov data(%rip), %eax          # 6, a distance within it
2: call g                        # 5, counted
   movabs $0x36d8000, %rax       # 10, an address less its map's start
   .byte 0x48, 0xc7, 0xc6, 0, 0, 0, 0   # mov $0, %rsi: so too
   .byte 0x48, 0x81, 0xf3, 0, 0, 0, 0   # xor $0, %rbx: so too
   .byte 0x48, 0x05, 0, 0, 0, 0  # add $0, %rax: so too
   xor $0x1234, %rbx             # 7, a number
   mov $1, %esi                  # 5, a number
   movabs $0x1234567812345678, %rax     # 10, a number
3: .byte 0xe9, 0, 0, 0, 0        # 5, a return
.size f, . - f
.globl g
.type g, @function
g: ret
.size g, 1
.section .rodata, "a"
text: .long 0
.data
data: .long 0
.globl __start_mcount_loc, __stop_mcount_loc
__start_mcount_loc: .quad 0b
__stop_mcount_loc:
.globl _end
_end:
.section .ibt_endbr_seal, "a"
.long f - .
.section .smp_locks, "a"
.long 1b - .
.section .call_sites, "a"
.long 2b - .
.section .return_sites, "a"
.long 3b - .
)";

TEST_F(ShippedCodeTest, WhatTheKernelWritesToIsLeftOut) {
  assemble(kernel, "ld -z noexecstack -e 0 -Ttext=0xffffffff81000000 --defsym percpu=0x100 -o vmlinux a.o 2>ld.log");
  EXPECT_EQ(compared("vmlinux", "f"),
            "...."        // the landing pad
            "....."       // ftrace
            ".=="         // lock
            "===...."     // the address
            "==...."      // per CPU
            "======"      // the distance
            "====="       // the call …
            "==........"  // less the map's start
            "===...."     // …
            "===...."     // …
            "==...."      // …
            "======="     // a number
            "====="       // …
            "=========="  // …
            "....."       // the return
            " call 32");  // … whose distance may be less
  EXPECT_EQ(compared("vmlinux", "g"), "=");
}

// FineIBT writes before calls, which no table lists.
TEST_F(ShippedCodeTest, NothingOfAKernelThatRewritesMoreThanItLists) {
  assemble(std::string(kernel) + ".section .cfi_sites, \"a\"\n.long f - .\n",
           "ld -z noexecstack -e 0 -Ttext=0xffffffff81000000 --defsym percpu=0x100 -o vmlinux a.o 2>ld.log");
  EXPECT_EQ(compared("vmlinux", "g"), "none");
}

TEST_F(ShippedCodeTest, OfAModuleWhatIsRelocated) {
  assemble(
      std::string(kernel) + ".text\n.globl h\n.type h, @function\nh: mov other(%rip), %eax\n ret\n.size h, . - h\n",
      "ld -z noexecstack -r -o m.ko a.o");
  EXPECT_EQ(compared("m.ko", "h"), "==....=");
}

}  // namespace
}  // namespace kpatch
