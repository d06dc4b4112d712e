// What names of symbols mean: one table a question.

#include "create-diff-object/names.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

namespace kpatch {
namespace {

TEST(Names, StemsLoseWhatOneCompileGave) {
  const std::vector<std::tuple<const char*, const char*>> table{
      {"f", "f"},
      {"f.isra.0", "f.isra"},
      {"f.constprop.3", "f.constprop"},
      {"f.isra.1.part.2", "f.isra.part"},
      {"f.part.0.cold.7", "f.part.cold"},
      {"f.cold", "f.cold"},
      {"f.lto_priv.12", "f.lto_priv"},
      {"f.llvm.1234567890", "f.llvm"},
      {"count.7", "count"},
      {"f.count", "f.count"},
      {"__UNIQUE_ID_x123", "__UNIQUE_ID_x"},
      {"f.__UNIQUE_ID_ddebug12", "f.__UNIQUE_ID_ddebug"},
      {".rodata.f.str1.1", ".rodata.f.str1.1"},
      {".hidden", ".hidden"},
  };
  for (const auto& [name, stem] : table) {
    EXPECT_EQ(symbol_stem(name), stem);
    EXPECT_EQ(is_mangled(name), std::string{name} != stem) << name;
  }
}

TEST(Names, MemoryOfASection) {
  const std::vector<std::tuple<const char*, const char*>> table{
      {".data", ""},
      {".data.v", ""},
      {".bss.v", ""},
      {".data..read_mostly", ""},
      {".bss..page_aligned", ""},
      {".data..L__unnamed_1", ""},
      {".data..ro_after_init", "ro_after_init"},
      {".data..nosave", "nosave"},
      {".bss..decrypted", "decrypted"},
      {".data..percpu", "percpu"},
      {".data..percpu..read_mostly", "percpu"},
      {".data..percpu..decrypted", "percpu..decrypted"},
  };
  for (const auto& [section, memory] : table) EXPECT_EQ(memory_of(section), memory) << section;
}

TEST(Names, PartsHaveAParent) {
  const std::vector<std::tuple<const char*, const char*, bool>> table{
      {"f", "", false},
      {"f.cold", "f", true},
      {"f.cold.3", "f", true},
      {"f.part.0", "f", false},
      {"f.isra.0", "", false},
      {"f.part.0.cold", "f.part.0", true},
      {"f.isra.0.part.1", "f.isra.0", false},
      {"coldness", "", false},
      {".cold", "", true},
  };
  for (const auto& [name, parent, cold] : table) {
    EXPECT_EQ(std::string{part_parent(name).value_or("")}, parent) << name;
    EXPECT_EQ(is_cold_part(name), cold) << name;
  }
}

TEST(Names, SpecialStaticsAreKnownByName) {
  for (const char* name : {"__key.3", "__warned.0", "__func__.12", "__already_done.1", "_rs.2", "CSWTCH.9", "_entry.4",
                           "_entry_ptr.5", "descriptor.6", "f.__key", "f.__func__", "f.__key.3", ".LC4",
                           ".Lubsan_data7", ".Lubsan_type1", ".L__unnamed_2", "switch.table.f"})
    EXPECT_TRUE(is_special_static(name)) << name;
  for (const char* name : {"count.3", "f.count", "__key", "key.3", "descriptors.1", "entry.1", "f.isra.0"})
    EXPECT_FALSE(is_special_static(name)) << name;
  EXPECT_TRUE(is_special_section(".data..Lubsan_data118") || is_special_section(".data.__key.3"));
  EXPECT_FALSE(is_special_section(".data.count.3"));
}

TEST(Names, StaticLocalsHaveADot) {
  for (const char* name : {"count.7", "f.count"}) EXPECT_TRUE(is_static_local(name)) << name;
  for (const char* name : {"count", "__key.3", ".LC4", "f.__func__"}) EXPECT_FALSE(is_static_local(name)) << name;
}

TEST(Names, LabelsTakeNoPart) {
  for (const char* name : {".L3", ".LFB12", "$x", "$d", "$d.4", "L1\001", "L0\002\001"})
    EXPECT_TRUE(is_local_label(name)) << name;
  for (const char* name : {"L1", "Loop", "x", "$y"}) EXPECT_FALSE(is_local_label(name)) << name;
  EXPECT_TRUE(is_prefix_symbol("__pfx_f") && is_prefix_symbol("__cfi_f"));
  EXPECT_FALSE(is_prefix_symbol("f__pfx_"));
}

TEST(Names, ASectionBelongsToTheSymbolItIsNamedAfter) {
  struct Row {
    const char *section, *symbol;
    bool function, belongs;
  };
  for (const Row& row :
       {Row{".text.f", "f", true, true}, Row{".text.unlikely.f", "f", true, true},
        Row{".text.unlikely.f", "f.cold", true, true}, Row{".text.unlikely.f", "fg.cold", true, false},
        Row{".text.hot.f", "f", true, true}, Row{".text.f", "g", true, false}, Row{".text.f", "f", false, false},
        Row{".init.text", "f", true, false}, Row{".data.v", "v", false, true},
        Row{".data.rel.ro.local.v", "v", false, true}, Row{".bss.v.1", "v.1", false, true},
        Row{".rodata.v", "v", false, true}, Row{".data.v", "w", false, false}, Row{".data.v", "v", true, false}})
    EXPECT_EQ(section_belongs_to(row.section, row.symbol, row.function), row.belongs)
        << row.section << " " << row.symbol;
}

}  // namespace
}  // namespace kpatch
